package http2_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/h2server"
	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
)

// paths returns "1" to "n".
func paths(n int) (paths []string) {
	for i := range n {
		paths = append(paths, fmt.Sprint(i+1))
	}
	return paths
}

func TestSettingsThatShrinkHoldRequestsBackAndThoseThatGrowLetThemGo(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *testkit.Framed) {
		first := h.Fetch("first")
		p := h.Welcome() // 100
		p.Answer()
		first.Gets("/first")

		calls := h.Starts("POST", paths(3)...)
		streams := p.Requests(3)
		p.MaxStreams(1)
		synctest.Wait()
		calls = append(calls, h.Starts("POST", "4", "5", "6")...)
		if st := h.Stats(); st.Waiting != 3 || st.Active != 1 {
			t.Errorf("three beyond the limit, three waiting: %+v", st)
		}
		for i, stream := range streams {
			p.Respond(stream, 200, "")
			calls[i].Gets("")
		}
		p.Answer() // one at a time now
		calls[3].Gets("/4")
		p.MaxStreams(10)
		p.Answer()
		p.Answer()
		calls[4].Gets("/5")
		calls[5].Gets("/6")
		h.Events.WantRetries(t)
		h.Dials(1)
	})
}

func TestSettingsThatShrinkToNothingHaveRequestsSentElsewhere(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls := h.Starts("POST", "1", "2")
		old := h.Welcome()
		streams := old.Requests(2)
		old.MaxStreams(0)
		synctest.Wait()
		third := h.Fetch("3")
		fresh := h.Welcome()
		fresh.Answer()
		third.Gets("/3")
		old.Respond(streams[0], 200, "first")
		old.Respond(streams[1], 200, "second")
		calls[0].Gets("first")
		calls[1].Gets("second")
		old.HungUp() // it is of no use
		h.Closes("no_capacity", 1)
		h.Events.WantRetries(t)
		h.Works(fresh)
		h.Dials(2)
	})
}

func TestSettingsThatShrinkUnderAnIdleConnectionCloseIt(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		p := h.Used()
		p.MaxStreams(0)
		p.HungUp()
		h.Closes("no_capacity", 1)
		call := h.Fetch("2")
		h.Welcome().Answer()
		call.Gets("/2")
	})
}

// The connection has a request on every stream that the server allowed, and the server then allows fewer.
func TestRequestsThatWaitInAConnectionAreSentElsewhereWhenItTakesNoMore(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls := h.Starts("POST", paths(4)...)
		old := h.Accept() // the requests are on it, as nobody has said how many it takes
		streams := old.Requests(4)
		old.MaxStreams(2)
		synctest.Wait()
		more := h.Fetch("more") // has no room there
		fresh := h.Welcome()
		fresh.Answer()
		more.Gets("/more")
		for i, stream := range streams {
			old.Respond(stream, 200, "")
			calls[i].Gets("")
		}
		h.Events.WantRetries(t)
	})
}

// The client may send a request before or after it reads the settings. Both must end well.
func TestAServerThatAllowsNoStreamsIsGivenUp(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		for name, early := range map[string]bool{"at once": true, "when there is a request": false} {
			t.Run(method+", "+name, func(t *testing.T) {
				testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
					accepted := make(chan *testkit.Peer, 10)
					dial := h.DialContext
					h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := dial(ctx, network, addr)
						server, _ := h.Ln.Accept()
						p := &testkit.Peer{FrameConn: h2server.Frames(server), T: h.T, Nc: server}
						if early {
							p.MaxStreams(0)
						}
						accepted <- p
						return nc, err
					}
					go func() { // until the test closes accepted
						for p := range accepted {
							if !early {
								p.MaxStreams(0)
							}
							for req := p.ReadRequest(); req != nil; req = p.ReadRequest() {
								p.Reset(req.Stream, http2.ErrCodeRefusedStream)
							}
							p.Close()
						}
					}()
					defer close(accepted)
					for range 10 {
						before := h.Ln.Dials()
						call := h.Start(h.Request(method, "x", nil))
						call.Ended()
						if n := h.Ln.Dials() - before; n < 1 || n > 3 || call.Headed {
							t.Errorf("%d connections dialed; %+v", n, call.Resp)
						}
						wanted := func(text string) bool { return strings.Contains(call.Err.Error(), text) }
						if !wanted("allows no streams") && !wanted("REFUSED_STREAM") {
							t.Error(call.Err)
						}
					}
				})
			})
		}
	}
}

func TestASilentServerIsGivenUpAfterItsPing(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		start := time.Now()
		call := h.Fetch("x")
		for range 3 {
			p := h.Accept() // and not a word
			p.Mute = true
			p.HungUp()
		}
		if err := call.Breaks(); err.Error() != "http2: client connection lost" || !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("it took %v", took)
		}
		h.Closes("ping_timeout", 3)
		h.Events.WantRetries(t, "lost", "lost")
	})
}

func TestSettingsMayComeLate(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		calls := h.Starts("GET", paths(5)...)
		p := h.Accept()
		streams := p.Requests(5)
		time.Sleep(10 * time.Second)
		p.MaxStreams(2)
		for i, stream := range streams {
			p.Respond(stream, 200, "")
			calls[i].Gets("")
		}
		h.Dials(1)
	})
}

func TestStreamsBeyondTheLimitWaitInOrder(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *testkit.Framed) {
		first := h.Fetch("first")
		p := h.Accept()
		p.MaxStreams(2)
		p.Answer()
		first.Gets("/first")
		calls := h.Starts("GET", paths(6)...)
		if st := h.Stats(); st.Waiting != 4 || st.Active != 1 {
			t.Errorf("%+v", st)
		}
		for i := range calls {
			req := p.Request()
			if want := fmt.Sprintf("/%d", i+1); req.Path != want {
				t.Errorf("%s comes before %s", req.Path, want)
			}
			p.Respond(req.Stream, 200, "")
			calls[i].Gets("")
			synctest.Wait() // the next one is on its way
		}
		h.Dials(1)
	})
}

func TestStrictRequestsWaitOnTheirConnection(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}}
	testkit.FrameTest(t, tr, func(h *testkit.Framed) {
		first := h.Fetch("first")
		p := h.Accept()
		p.MaxStreams(1)
		p.Answer()
		first.Gets("/first")
		calls := h.Starts("GET", paths(4)...)
		h.Dials(1)
		for i := range calls {
			if got := p.Answer().Path; got != fmt.Sprintf("/%d", i+1) {
				t.Errorf("%s out of turn", got)
			}
			calls[i].Gets(fmt.Sprintf("/%d", i+1))
		}
		h.Dials(1)
	})
}

func TestMaxConnStreamsBoundsWhatTheServerAllows(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{MaxConnStreams: 2}, func(h *testkit.Framed) {
		calls := h.Starts("GET", paths(2)...)
		p := h.Welcome()
		p.Requests(2)
		third := h.Fetch("3")
		q := h.Welcome()
		q.Answer()
		third.Gets("/3")
		p.Respond(1, 200, "")
		p.Respond(3, 200, "")
		calls[0].Gets("")
		calls[1].Gets("")
	})
}

func TestAServerThatAllowsEverythingIsNotBelieved(t *testing.T) {
	testkit.FrameTest(t, &peerpool.Transport{}, func(h *testkit.Framed) {
		call := h.Fetch(strings.Repeat("x", 9))
		p := h.Accept()
		p.MaxStreams(1<<32 - 1)
		p.Answer()
		call.Gets("/xxxxxxxxx")
		h.Works(p)
		h.Dials(1)
	})
}

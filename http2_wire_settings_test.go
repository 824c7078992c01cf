package peerpool_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
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
	frameTest(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *framed) {
		first := h.fetch("first")
		p := h.welcome() // 100
		p.answer()
		first.gets("/first")

		calls := h.starts("POST", paths(3)...)
		streams := p.requests(3)
		p.MaxStreams(1)
		synctest.Wait()
		calls = append(calls, h.starts("POST", "4", "5", "6")...)
		if st := h.Stats(); st.Waiting != 3 || st.Active != 1 {
			t.Errorf("three beyond the limit, three waiting: %+v", st)
		}
		for i, stream := range streams {
			p.Respond(stream, 200, "")
			calls[i].gets("")
		}
		p.answer() // one at a time now
		calls[3].gets("/4")
		p.MaxStreams(10)
		p.answer()
		p.answer()
		calls[4].gets("/5")
		calls[5].gets("/6")
		h.events.wantRetries(t)
		h.dials(1)
	})
}

func TestSettingsThatShrinkToNothingHaveRequestsSentElsewhere(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("POST", "1", "2")
		old := h.welcome()
		streams := old.requests(2)
		old.MaxStreams(0)
		synctest.Wait()
		third := h.fetch("3")
		fresh := h.welcome()
		fresh.answer()
		third.gets("/3")
		old.Respond(streams[0], 200, "first")
		old.Respond(streams[1], 200, "second")
		calls[0].gets("first")
		calls[1].gets("second")
		old.hungUp() // it is of no use
		h.closes("no_capacity", 1)
		h.events.wantRetries(t)
		h.works(fresh)
		h.dials(2)
	})
}

func TestSettingsThatShrinkUnderAnIdleConnectionCloseIt(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch("1")
		p := h.welcome()
		p.answer()
		call.gets("/1")
		p.MaxStreams(0)
		p.hungUp()
		h.closes("no_capacity", 1)
		call = h.fetch("2")
		h.welcome().answer()
		call.gets("/2")
	})
}

// In a connection of which all streams are taken, and whose server has not said yet that it takes fewer.
func TestRequestsThatWaitInAConnectionAreSentElsewhereWhenItTakesNoMore(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("POST", paths(4)...)
		old := h.accept() // the requests are on it, as nobody has said how many it takes
		streams := old.requests(4)
		old.MaxStreams(2)
		synctest.Wait()
		more := h.fetch("more") // has no room there
		fresh := h.welcome()
		fresh.answer()
		more.gets("/more")
		for i, stream := range streams {
			old.Respond(stream, 200, "")
			calls[i].gets("")
		}
		h.events.wantRetries(t)
	})
}

// Whether a request is on its way before the settings are read is a matter of luck: both must come out well.
func TestAServerThatAllowsNoStreamsIsGivenUp(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		for name, early := range map[string]bool{"at once": true, "when there is a request": false} {
			t.Run(method+", "+name, func(t *testing.T) {
				frameTest(t, &peerpool.Transport{}, func(h *framed) {
					accepted := make(chan *peer, 10)
					dial := h.DialContext
					h.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := dial(ctx, network, addr)
						server, _ := h.ln.Accept()
						p := &peer{httptestutil.Frames(server), h.t, server}
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
						before := h.ln.Dials()
						call := h.start(h.request(method, "x", nil))
						call.ended()
						if n := h.ln.Dials() - before; n < 1 || n > 3 || call.headed {
							t.Errorf("%d connections dialed; %+v", n, call.resp)
						}
						wanted := func(text string) bool { return strings.Contains(call.err.Error(), text) }
						if !wanted("allows no streams") && !wanted("REFUSED_STREAM") && !wanted("no_capacity") {
							t.Error(call.err)
						}
					}
				})
			})
		}
	}
}

func TestASilentServerIsGivenUpAfterItsPing(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		start := time.Now()
		call := h.fetch("x")
		for range 3 {
			p := h.accept() // and not a word
			p.Mute = true
			p.hungUp()
		}
		if err := call.breaks(); err.Error() != "http2: client connection lost" || !err.Wrote || err.Started {
			t.Errorf("%+v", err)
		}
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("it took %v", took)
		}
		h.closes("ping_timeout", 3)
		h.events.wantRetries(t, "lost", "lost")
	})
}

func TestSettingsMayComeLate(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		calls := h.starts("GET", paths(5)...)
		p := h.accept()
		streams := p.requests(5)
		time.Sleep(10 * time.Second)
		p.MaxStreams(2)
		for i, stream := range streams {
			p.Respond(stream, 200, "")
			calls[i].gets("")
		}
		h.dials(1)
	})
}

func TestStreamsBeyondTheLimitWaitInOrder(t *testing.T) {
	frameTest(t, &peerpool.Transport{MaxConnsPerHost: 1}, func(h *framed) {
		first := h.fetch("first")
		p := h.accept()
		p.MaxStreams(2)
		p.answer()
		first.gets("/first")
		calls := h.starts("GET", paths(6)...)
		if st := h.Stats(); st.Waiting != 4 || st.Active != 1 {
			t.Errorf("%+v", st)
		}
		for i := range calls {
			req := p.request()
			if want := fmt.Sprintf("/%d", i+1); req.Path != want {
				t.Errorf("%s comes before %s", req.Path, want)
			}
			p.Respond(req.Stream, 200, "")
			calls[i].gets("")
			synctest.Wait() // the next one is on its way
		}
		h.dials(1)
	})
}

func TestStrictRequestsWaitOnTheirConnection(t *testing.T) {
	tr := &peerpool.Transport{HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}}
	frameTest(t, tr, func(h *framed) {
		first := h.fetch("first")
		p := h.accept()
		p.MaxStreams(1)
		p.answer()
		first.gets("/first")
		calls := h.starts("GET", paths(4)...)
		h.dials(1)
		for i := range calls {
			if got := p.answer().Path; got != fmt.Sprintf("/%d", i+1) {
				t.Errorf("%s out of turn", got)
			}
			calls[i].gets(fmt.Sprintf("/%d", i+1))
		}
		h.dials(1)
	})
}

func TestMaxConnStreamsBoundsWhatTheServerAllows(t *testing.T) {
	frameTest(t, &peerpool.Transport{MaxConnStreams: 2}, func(h *framed) {
		calls := h.starts("GET", paths(2)...)
		p := h.welcome()
		p.requests(2)
		third := h.fetch("3")
		q := h.welcome()
		q.answer()
		third.gets("/3")
		p.Respond(1, 200, "")
		p.Respond(3, 200, "")
		calls[0].gets("")
		calls[1].gets("")
	})
}

func TestAServerThatAllowsEverythingIsNotBelieved(t *testing.T) {
	frameTest(t, &peerpool.Transport{}, func(h *framed) {
		call := h.fetch(strings.Repeat("x", 9))
		p := h.accept()
		p.MaxStreams(1<<32 - 1)
		p.answer()
		call.gets("/xxxxxxxxx")
		h.works(p)
		h.dials(1)
	})
}

package httptestutil_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// These tests run in bubbles, where Bound passes at once.

func TestWaitingForWhatDoesNotHappenEndsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []func(testing.TB){
			func(tb testing.TB) {
				httptestutil.NewOrigin(tb, httptestutil.OriginOptions{Listener: httptestutil.NewListener(0)}).WaitOpenConns(1)
			},
			func(tb testing.TB) {
				httptestutil.NewOrigin(tb, httptestutil.OriginOptions{Listener: httptestutil.NewListener(0)}).WaitRequests(1)
			},
			func(tb testing.TB) { wireInMemory(tb).WaitOpenConns(1) },
			func(tb testing.TB) { wireInMemory(tb).WaitRequests(1) },
			func(tb testing.TB) { _ = wireInMemory(tb).WaitClientClosed(1) },
			func(tb testing.TB) { proxyInMemory(tb).WaitOpenConns(1) },
			func(tb testing.TB) { proxyInMemory(tb).WaitAsked(1) },
		} {
			start := time.Now()
			texts := failures(t, wait)
			wantFailure(t, texts, "after 30s still not")
			wantEqual(t, "failures", len(texts), 1)
			wantEqual(t, "waited", time.Since(start), httptestutil.Bound)
		}
	})
}

func wireInMemory(tb testing.TB) *httptestutil.Wire {
	return httptestutil.NewWireWith(tb, httptestutil.WireOptions{Listener: httptestutil.NewListener(0)}, httptestutil.ReadNothing)
}

func proxyInMemory(tb testing.TB) *httptestutil.Proxy {
	return httptestutil.NewHTTPProxy(tb, httptestutil.ProxyOptions{Listener: httptestutil.NewListener(0)})
}

func TestWaitingEndsAsSoonAsItHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Listener: httptestutil.NewListener(0)})
		client := newClient(t, nil, func(tr *http.Transport) { tr.DialContext = o.Dial })
		ended := make(chan error)
		go func() {
			_, _, err := tryGet(t, client, o.URL())
			ended <- err
		}()
		o.WaitOpenConns(1)
		o.WaitRequests(1)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
		o.WaitOpenConns(0)
		wantEqual(t, "waited", time.Since(start), 0)
	})
}

func TestAHandlerThatDoesNotReturnFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		defer close(leave)
		texts := failures(t, func(tb testing.TB) {
			o := httptestutil.NewOrigin(tb, httptestutil.OriginOptions{
				Listener: httptestutil.NewListener(0),
				Handler:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }),
			})
			client := newClient(t, nil, func(tr *http.Transport) { tr.DialContext = o.Dial })
			go tryGet(t, client, o.URL())
			o.WaitRequests(1)
		})
		wantFailure(t, texts, "a handler is still running")
	})
}

func TestAScriptThatDoesNotReturnFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		defer close(leave)
		texts := failures(t, func(tb testing.TB) {
			l := httptestutil.NewListener(0)
			w := httptestutil.NewWireWith(tb, httptestutil.WireOptions{Listener: l},
				func(*httptestutil.WireConn) { <-leave })
			if _, err := l.Dial(t.Context(), "tcp", "x:80"); err != nil {
				tb.Fatalf("%v", err)
			}
			w.WaitOpenConns(1)
		})
		wantFailure(t, texts, "a script is still running")
	})
}

func TestAnAwaitingScriptGoesOnWhenTheTestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan bool, 1)
		start := time.Now()
		wantNoFailure(t, failures(t, func(tb testing.TB) {
			l := httptestutil.NewListener(0)
			w := httptestutil.NewWireWith(tb, httptestutil.WireOptions{Listener: l},
				func(c *httptestutil.WireConn) { got <- c.Await(nil) })
			if _, err := l.Dial(t.Context(), "tcp", "x:80"); err != nil {
				tb.Fatalf("%v", err)
			}
			w.WaitOpenConns(1)
		}))
		wantEqual(t, "signaled", <-got, false)
		wantEqual(t, "waited", time.Since(start), 0)
	})
}

// A lateListener returns from Accept when it is released.
type lateListener struct {
	*httptestutil.Listener
	release chan struct{}
}

func (l lateListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	<-l.release
	return nc, err
}

func TestAConnectionAcceptedWhileTheServerClosesIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lateListener{httptestutil.NewListener(0), make(chan struct{})}
		nc, err := l.Dial(t.Context(), "tcp", "x:80")
		if err != nil {
			t.Fatal(err)
		}
		wantNoFailure(t, failures(t, func(tb testing.TB) {
			w := httptestutil.NewWireWith(tb, httptestutil.WireOptions{Listener: l}, httptestutil.Replies())
			synctest.Wait()
			tb.Cleanup(func() {
				go w.Close()
				synctest.Wait()
				close(l.release)
			})
		}))
		_, err = nc.Read(make([]byte, 1))
		wantEqual(t, "read", err, io.EOF)
	})
}

func TestTheEndOfTheTestIsNotTheClientsClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := httptestutil.NewListener(0)
		w := httptestutil.NewWireWith(t, httptestutil.WireOptions{Listener: l}, httptestutil.Replies())
		if _, err := l.Dial(t.Context(), "tcp", "x:80"); err != nil {
			t.Fatal(err)
		}
		w.WaitOpenConns(1)
		w.Close()
		wantEqual(t, "closed by the client", w.ClientClosed(1), false)
	})
}

func TestAStalledConnectionOfAProxyEndsWithTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := httptestutil.NewListener(0)
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Listener: front})
		p.SetFault(httptestutil.FaultStall())
		nc, err := front.Dial(t.Context(), "tcp", "proxy.test:80")
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		start := time.Now()
		write(t, nc, rawGet)
		if n, err := nc.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		wantEqual(t, "waited", time.Since(start), httptestutil.Bound)
	})
}

func TestAnOriginOnAListenerOfTheCallersCannotStartAgain(t *testing.T) {
	texts := failures(t, func(tb testing.TB) {
		httptestutil.NewOrigin(tb, httptestutil.OriginOptions{Listener: httptestutil.NewListener(0)}).Restart()
	})
	wantFailure(t, texts, "cannot be started again")
}

func TestWrongOptionsEndTheTest(t *testing.T) {
	texts := failures(t, func(tb testing.TB) {
		httptestutil.NewOrigin(tb, httptestutil.OriginOptions{Network: "udp"})
	})
	wantFailure(t, texts, `network "udp"`)
	texts = failures(t, func(tb testing.TB) {
		httptestutil.NewSOCKS5Proxy(tb, httptestutil.ProxyOptions{CA: httptestutil.NewCA(t)})
	})
	wantFailure(t, texts, "does not speak TLS")
}

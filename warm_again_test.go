package peerpool

import (
	"cmp"
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
)

// An HTTP/2 server can end a connection before anybody can use it. A request then takes another one, and so does Warm.
func TestWarmTriesAgainWhereARequestWould(t *testing.T) {
	type script = func(*h2server.FrameConn)
	var (
		works     script = func(f *h2server.FrameConn) { f.MaxStreams(100) }
		goesAway  script = func(f *h2server.FrameConn) { f.MaxStreams(100); f.GoAway(0, 0) }
		breaksOff script = func(f *h2server.FrameConn) { f.MaxStreams(100); f.GoAway(0, 0); f.CloseWrite() }
		noStreams script = func(f *h2server.FrameConn) { f.MaxStreams(0) }
	)
	for name, c := range map[string]struct {
		conns []script // one for each connection, the last one for all others
		dials uint64   // 0 if it fails
	}{
		"goes away once":         {[]script{goesAway, works}, 2},
		"goes away twice":        {[]script{goesAway, goesAway, works}, 3},
		"goes away always":       {[]script{goesAway}, 0},
		"goes away and closes":   {[]script{breaksOff, breaksOff, works}, 3},
		"no streams once":        {[]script{noStreams, works}, 2},
		"no streams, goes away":  {[]script{noStreams, goesAway, works}, 3},
		"never allows a stream":  {[]script{noStreams}, 0},
		"always closes":          {[]script{breaksOff}, 0},
		"nothing out of the way": {[]script{works}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := httptestutil.NewListener(0)
				defer ln.Close()
				go serveScripts(ln, c.conns)
				protocols := new(http.Protocols)
				protocols.SetUnencryptedHTTP2(true)
				tr := &Transport{DialContext: ln.Dial, Protocols: protocols, Observer: &Observer{
					DialDone: func(context.Context, DialDone) { synctest.Wait() }, // until the Transport has read all that came
				}}
				defer tr.Shutdown(t.Context())
				err := tr.Warm(t.Context(), "http://a.test/", 10)
				s := tr.Stats()
				if want := cmp.Or(c.dials, maxAttempts); s.Dials != want || (err == nil) != (c.dials > 0) {
					t.Errorf("Warm returned %v after %d dials, want %d; closes %v", err, s.Dials, want, s.Closes)
				}
			})
		})
	}
}

// serveScripts plays one script on each connection.
func serveScripts(ln *httptestutil.Listener, scripts []func(*h2server.FrameConn)) {
	for i := 0; ; i++ {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			frames := h2server.Frames(nc)
			scripts[min(i, len(scripts)-1)](frames)
			for frames.Next() != nil {
			}
		}()
	}
}

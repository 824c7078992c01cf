package h2server_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
	"golang.org/x/net/http2"
)

// framed runs a test in a bubble, with a client of net/http that reaches the server of script over HTTP/2.
func framed(t *testing.T, script func(*h2server.FrameConn), test func(*testing.T, *http.Transport)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		defer ln.Close()
		go func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				c := h2server.Frames(nc)
				script(c)
				c.Close()
			}
		}()
		var h2c http.Protocols
		h2c.SetUnencryptedHTTP2(true)
		tr := &http.Transport{DialContext: ln.Dial, Protocols: &h2c}
		defer tr.CloseIdleConnections()
		test(t, tr)
		synctest.Wait() // a request that was canceled may be on its way out still
	})
}

func post(t *testing.T, tr *http.Transport, ctx context.Context, body string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://example.test/path", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Asked", "yes")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp, string(got), err
}

func TestFramesServeRequests(t *testing.T) {
	large := strings.Repeat("more than a window ", 10_000)
	serve := func(c *h2server.FrameConn) {
		c.Serve(func(c *h2server.FrameConn, req *h2server.FrameRequest) {
			body, ok := c.ReadBody(req.Stream)
			if !ok || req.Ended || req.Method != "POST" || req.Path != "/path" || req.Header.Get("X-Asked") != "yes" {
				t.Errorf("%+v, %d bytes, %v", req, len(body), ok)
			}
			if body != large {
				t.Errorf("a body of %d bytes, want %d", len(body), len(large))
			}
			c.Head(req.Stream, 103, false, "x-early: 1")
			c.Respond(req.Stream, 201, "made", "x-late: 2", "x-long: "+strings.Repeat("l", 40_000))
		})
		if c.Err() != io.EOF {
			t.Errorf("ended with %v", c.Err())
		}
	}
	framed(t, serve, func(t *testing.T, tr *http.Transport) {
		for range 2 {
			resp, body, err := post(t, tr, t.Context(), large)
			if err != nil || resp.StatusCode != 201 || body != "made" || resp.Header.Get("X-Late") != "2" || len(resp.Header.Get("X-Long")) != 40_000 {
				t.Fatalf("%v, %q, %v", resp, body, err)
			}
		}
	})
}

func TestFramesTellWhatTheClientResets(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	framed(t, func(c *h2server.FrameConn) {
		c.Settings()
		req := c.ReadRequest()
		cancel()
		if code, ok := c.AwaitReset(req.Stream); !ok || code != http2.ErrCodeCancel {
			t.Errorf("%v, %v", code, ok)
		}
		if _, ok := c.AwaitReset(99); ok {
			t.Error("a stream that was never opened has been reset")
		}
	}, func(t *testing.T, tr *http.Transport) {
		if _, _, err := post(t, tr, ctx, "body"); err != context.Canceled {
			t.Errorf("%v", err)
		}
	})
}

func TestABodyThatIsBrokenOffIsNotCalledWhole(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	framed(t, func(c *h2server.FrameConn) {
		c.Settings()
		req := c.ReadRequest()
		c.Settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		cancel()
		if body, ok := c.ReadBody(req.Stream); ok {
			t.Errorf("%q", body)
		}
	}, func(t *testing.T, tr *http.Transport) {
		if _, _, err := post(t, tr, ctx, strings.Repeat("x", 1<<20)); err != context.Canceled {
			t.Errorf("%v", err)
		}
	})
}

func TestFramesSendWhateverTheyAreTold(t *testing.T) {
	framed(t, func(c *h2server.FrameConn) {
		c.MaxStreams(7)
		req := c.ReadRequest()
		c.Raw(0xbe, 0xff, req.Stream, []byte("unknown"))
		c.Head(req.Stream, 200, false)
		c.Data(req.Stream, "a", false)
		c.Headers(req.Stream, true, "x-trailer: t")
		second := c.ReadRequest()
		c.Reset(second.Stream, http2.ErrCodeInternal)
		for c.Next() != nil {
		}
	}, func(t *testing.T, tr *http.Transport) {
		resp, body, err := post(t, tr, t.Context(), "")
		if err != nil || body != "a" || resp.Trailer.Get("X-Trailer") != "t" {
			t.Errorf("%v %q %v", resp, body, err)
		}
		if _, _, err = post(t, tr, t.Context(), ""); err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") {
			t.Errorf("%v", err)
		}
	})
}

func TestAGoAwayNamesItsReason(t *testing.T) {
	framed(t, func(c *h2server.FrameConn) {
		c.Settings()
		c.ReadRequest()
		c.GoAway(0, http2.ErrCodeEnhanceYourCalm)
		for c.Next() != nil {
		}
	}, func(t *testing.T, tr *http.Transport) {
		if _, _, err := post(t, tr, t.Context(), ""); err == nil || !strings.Contains(err.Error(), "ENHANCE_YOUR_CALM") {
			t.Errorf("%v", err)
		}
	})
}

func TestAMuteConnectionAnswersNoPing(t *testing.T) {
	for _, mute := range []bool{false, true} {
		framed(t, func(c *h2server.FrameConn) {
			c.Mute = mute
			c.Settings()
			req := c.ReadRequest()
			if c.Await(http2.FramePing, 0) == nil {
				t.Error("no ping")
			}
			if !mute {
				c.Respond(req.Stream, 200, "")
			}
			for c.Next() != nil {
			}
		}, func(t *testing.T, tr *http.Transport) {
			tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: 1e9, PingTimeout: 1e9}
			if _, _, err := post(t, tr, t.Context(), ""); (err != nil) != mute {
				t.Errorf("mute: %v, err: %v", mute, err)
			}
		})
	}
}

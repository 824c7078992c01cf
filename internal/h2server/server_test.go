package h2server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/h2server"
	"golang.org/x/net/http2"
)

// overHTTP2 returns a client that speaks HTTP/2 without TLS from the first byte on.
func overHTTP2(t *testing.T) *http.Client {
	t.Helper()
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &p}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// serving starts a Wire whose connections answer frame by frame.
func serving(t *testing.T, answer func(*h2server.FrameConn, *h2server.FrameRequest)) *httptestutil.Wire {
	t.Helper()
	return httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		h2server.FramesOn(c.Conn(), c).Serve(answer)
	})
}

// fetch returns the body at a URL.
func fetch(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// wantBodies requests paths one after the other.
func wantBodies(t *testing.T, client *http.Client, url string, paths []string, want ...string) {
	t.Helper()
	var got []string
	for _, path := range paths {
		body, err := fetch(client, url+path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAServerAnswersEachRequestOnItsStream(t *testing.T) {
	wire := serving(t, func(f *h2server.FrameConn, req *h2server.FrameRequest) {
		f.Respond(req.Stream, http.StatusOK, fmt.Sprintf("%s on stream %d", req.Path, req.Stream))
	})
	wantBodies(t, overHTTP2(t), wire.URL(), []string{"/a", "/b"}, "/a on stream 1", "/b on stream 3")
}

func TestAServerThatSaysGoAwayWithinAnAnswerGetsNoFurtherRequest(t *testing.T) {
	wire := serving(t, func(f *h2server.FrameConn, req *h2server.FrameRequest) {
		f.Head(req.Stream, http.StatusOK, false)
		f.GoAway(req.Stream, http2.ErrCodeNo)
		f.Data(req.Stream, "hello", true)
	})
	wantBodies(t, overHTTP2(t), wire.URL(), []string{"", ""}, "hello", "hello")
	if n := wire.Conns(); n < 2 { // net/http may dial once more than it needs
		t.Errorf("%d connections, want 2", n)
	}
}

func TestAServerThatResetsAStreamBreaksItsAnswerOff(t *testing.T) {
	wire := serving(t, func(f *h2server.FrameConn, req *h2server.FrameRequest) {
		f.Head(req.Stream, http.StatusOK, false)
		f.Data(req.Stream, "half", false)
		f.Reset(req.Stream, http2.ErrCodeInternal)
	})
	if body, err := fetch(overHTTP2(t), wire.URL()); err == nil {
		t.Errorf("the client got %q", body)
	}
}

func TestAServerSeesThatTheClientResetsAStream(t *testing.T) {
	codes := make(chan http2.ErrCode, 1)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		f := h2server.FramesOn(c.Conn(), c)
		f.Settings()
		if req := f.ReadRequest(); req != nil {
			f.Head(req.Stream, http.StatusOK, false)
			code, _ := f.AwaitReset(req.Stream)
			codes <- code
		}
	})
	resp, err := overHTTP2(t).Get(wire.URL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if code := <-codes; code != http2.ErrCodeCancel {
		t.Errorf("the code is %v", code)
	}
}

func TestAWireNoticesThatAClientOfFramesClosesItsConnection(t *testing.T) {
	wire := serving(t, func(f *h2server.FrameConn, req *h2server.FrameRequest) { f.Respond(req.Stream, http.StatusOK, "") })
	client := overHTTP2(t)
	wantBodies(t, client, wire.URL(), []string{""}, "")
	client.CloseIdleConnections()
	if err := wire.WaitClientClosed(1); err != nil {
		t.Errorf("the client did not close in order: %v", err)
	}
}

func TestFramesNeedNoSockets(t *testing.T) {
	client, server := httptestutil.Pipe(0)
	go h2server.Frames(server).Serve(func(f *h2server.FrameConn, req *h2server.FrameRequest) {
		f.Respond(req.Stream, http.StatusOK, req.Method+" "+req.Path)
	})
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	conn, err := (&http.Transport{
		Protocols:   &p,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil },
	}).NewClientConn(t.Context(), "http", "example.test:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wantBodies(t, &http.Client{Transport: conn}, "http://example.test/path", []string{""}, "GET /path")
}

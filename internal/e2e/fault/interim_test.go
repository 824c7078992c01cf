package fault_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestInterimResponsesReachTheTraceInOrder(t *testing.T) {
	early := "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
	wire := httptestutil.NewWire(t, httptestutil.Replies(
		early+"HTTP/1.1 102 Processing\r\n\r\n"+early+httptestutil.Response("ok"),
	))
	s := testkit.Observe(t, &peerpool.Transport{})
	var got []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got = append(got, fmt.Sprint(code, h.Get("Link")))
		return nil
	}}
	for range 2 {
		got = nil
		req := testkit.NewRequest(t, "GET", wire.URL(), nil)
		s.Ok(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		if want := []string{"103</style.css>", "102", "103</style.css>"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if wire.Conns() != 1 {
		t.Errorf("%d connections, want 1", wire.Conns())
	}
}

func TestATraceMayRefuseAnInterimResponse(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, httptestutil.Replies("HTTP/1.1 103 Early Hints\r\n\r\n"+httptestutil.Response("ok")))
	s := testkit.Observe(t, &peerpool.Transport{})
	refused := fmt.Errorf("refused")
	req := testkit.NewRequest(t, "GET", wire.URL(), nil)
	err := testkit.FailsToExchange(s, req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { return refused },
	})))
	if !errors.Is(err.Err, refused) || !err.Started {
		t.Errorf("%+v", err)
	}
	s.Closes("error", 1)
}

// expecting is a POST that asks before it sends its body.
func expecting(t *testing.T, url string, body io.Reader) *http.Request {
	t.Helper()
	return testkit.With(testkit.NewRequest(t, http.MethodPost, url, body), "Expect: 100-continue")
}

func TestABodyWaitsForTheServersWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		touched := false
		_, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			req := c.ReadHead()
			synctest.Wait() // whatever the client does without being told, it has done
			if touched {
				t.Error("the body was read unasked")
			}
			c.Write("HTTP/1.1 100 Continue\r\n\r\n")
			body, _ := io.ReadAll(req.Body)
			c.Write(httptestutil.Response(string(body)))
			c.WaitClosed()
		})
		tr.ExpectContinueTimeout = time.Hour
		s := testkit.Observe(t, tr)
		body := io.MultiReader(testkit.AtEnd(func() { touched = true }), strings.NewReader("the body"))
		if got := s.Ok(expecting(t, "http://example.test", body)); got != "the body" {
			t.Errorf("got %q", got)
		}
		if st := s.Stats(); st.Idle != 1 {
			t.Errorf("the connection was not kept: %+v", st)
		}
	})
}

func TestARefusedBodyIsNotSent(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) {
		c.ReadHead()
		c.Write(httptestutil.ResponseWith(417, "no", "Connection: close"))
		if n, err := io.Copy(io.Discard, c.Conn()); n > 0 || err != nil {
			t.Errorf("the server read %d more bytes, %v", n, err)
		}
	})
	s := testkit.Observe(t, &peerpool.Transport{ExpectContinueTimeout: time.Hour})
	body := testkit.TrackBody(testkit.AtEnd(func() { t.Error("the body was read") }))
	req := expecting(t, wire.URL(), body)
	req.ContentLength = 10
	if resp, text := s.Send(req); resp.StatusCode != 417 || text != "no" {
		t.Errorf("%s %q", resp.Status, text)
	}
	body.WantClosed(t)
	s.Closes("connection_close", 1)
	wire.WaitOpenConns(0)
}

func TestABodyGoesUnaskedAfterExpectContinueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 3 * time.Second
		start := time.Now()
		wire, tr := testkit.InMemory(t, func(c *httptestutil.WireConn) {
			req := c.ReadHead()
			io.Copy(io.Discard, req.Body)
			if waited := time.Since(start); waited != patience {
				t.Errorf("the body came after %v, want %v", waited, patience)
			}
			c.Write("HTTP/1.1 100 Continue\r\n\r\n" + httptestutil.Response("late word"))
			c.WaitClosed()
		})
		tr.ExpectContinueTimeout = patience
		s := testkit.Observe(t, tr)
		if got := s.Ok(expecting(t, wire.URL(), strings.NewReader("body"))); got != "late word" {
			t.Errorf("got %q", got)
		}
	})
}

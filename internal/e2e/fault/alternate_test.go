package fault_test

//lint:file-ignore SA1019 programs still use what is deprecated, so it is tested

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestABodyThatAnAlternateHasReadIsNotSentAgainEmpty(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2)})
	var bodies []string
	tr := &peerpool.Transport{TLSClientConfig: offering(o, "h2")}
	tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
		"h2": func(string, *tls.Conn) http.RoundTripper {
			return testkit.RoundTripperFunc(func(req *http.Request) (*http.Response, error) {
				var b []byte
				if req.Body != nil {
					b, _ = io.ReadAll(req.Body)
					req.Body.Close()
				}
				bodies = append(bodies, string(b))
				return &http.Response{StatusCode: 421, Body: http.NoBody, Request: req}, nil
			})
		},
	}
	s := testkit.Observe(t, tr)
	for range 2 {
		req := testkit.NewRequest(t, "POST", o.URL(), struct{ io.Reader }{strings.NewReader("body")})
		resp, err := s.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if len(bodies) != 2 || bodies[0] != "body" || bodies[1] != "body" {
		t.Errorf("sent %q, want each body once", bodies)
	}
}

// offering is a configuration that offers those protocols to o.
func offering(o *httptestutil.Origin, protos ...string) *tls.Config {
	cfg := o.ClientTLS()
	cfg.NextProtos = protos
	return cfg
}

func TestABodyThatARegisteredProtocolHasClosedIsNotClosedAgain(t *testing.T) {
	s := testkit.Observe(t, &peerpool.Transport{})
	s.RegisterProtocol("http", testkit.RoundTripperFunc(func(req *http.Request) (*http.Response, error) {
		req.Body.Close()
		return nil, http.ErrSkipAltProtocol
	}))
	body := testkit.TrackBody(strings.NewReader("body"))
	if _, err := s.RoundTrip(testkit.NewRequest(t, "POST", "http://example.test/", body)); err == nil {
		t.Error("a body that is gone was sent")
	}
	if n := body.Closings(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}

// erring is what net/http's functions in TLSNextProto return in place of an error.
type erring struct{ err error }

func (e erring) RoundTripErr() error { return e.err }

func (e erring) RoundTrip(*http.Request) (*http.Response, error) { return nil, e.err }

func TestTheSignThatNetHTTPSpeaksHTTP2IsNotTakenForAFunction(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2)})
	s := testkit.Observe(t, &peerpool.Transport{
		TLSClientConfig: offering(o, "h2", "http/1.1"),
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{
			"h2": func(string, *tls.Conn) http.RoundTripper {
				return erring{errors.New("unexpected use of stub RoundTripper")}
			},
		},
	})
	resp, err := s.RoundTrip(testkit.NewRequest(t, "GET", o.URL(), nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("served over %s", resp.Proto)
	}
}

// skipping is an alternative protocol that begins to read and then leaves every request to the Transport.
var skipping = testkit.RoundTripperFunc(func(req *http.Request) (*http.Response, error) {
	_, _ = req.Body.Read(make([]byte, 1))
	return nil, http.ErrSkipAltProtocol
})

func TestTheBodyThatASkippedProtocolHasReadIsClosed(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	s := testkit.Observe(t, &peerpool.Transport{})
	s.RegisterProtocol("http", skipping)
	first, again := testkit.TrackBody(strings.NewReader("body")), testkit.TrackBody(strings.NewReader("body"))
	req := testkit.NewRequest(t, "POST", o.URL(), first)
	req.GetBody = func() (io.ReadCloser, error) { return again, nil }
	resp, _ := s.Send(req)
	if resp.Request != req {
		t.Error("the response is not to the request that was sent, but to a copy")
	}
	if first.Closings() == 0 {
		t.Error("the body that was replaced is still open")
	}
	s.Await("the body that was sent is closed", func(peerpool.Stats) bool { return again.Closings() > 0 })
}

func TestCancelRequestFindsARequestThatAnotherProtocolSkipped(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Handler: http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server would not see the client go
			<-r.Context().Done()
		})})
	s := testkit.Observe(t, &peerpool.Transport{})
	s.RegisterProtocol("http", skipping)
	req := testkit.NewRequest(t, "POST", o.URL(), strings.NewReader("body"))
	ended := async(s, req)
	o.WaitRequests(1)
	s.CancelRequest(req)
	if err := <-ended; err == nil || err.Error() != canceledText {
		t.Errorf("got %v, want %q", err, canceledText)
	}
}

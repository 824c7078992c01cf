package parity_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// set sets a field of either Transport, as a program may between two requests.
func set(tr testkit.Transport, field string, value any) {
	reflect.ValueOf(tr).Elem().FieldByName(field).Set(reflect.ValueOf(value))
}

// TestAFieldThatChangesCountsForTheNextRequestAsWithNetHTTP changes the fields that net/http reads for every request.
func TestAFieldThatChangesCountsForTheNextRequestAsWithNetHTTP(t *testing.T) {
	for _, c := range []struct {
		field string
		value any
		again int  // requests after the change, of which the last is looked at
		conns bool // what it comes to is the number of connections
	}{
		{"ResponseHeaderTimeout", time.Second, 1, false},
		{"MaxResponseHeaderBytes", int64(4096), 2, false}, // net/http is one response late
		{"DisableCompression", true, 1, false},
		{"DisableKeepAlives", true, 2, true},
		{"ExpectContinueTimeout", 3 * time.Second, 1, false},
		{"IdleConnTimeout", time.Minute, 2, true},
		{"ReadBufferSize", 64 << 10, 1, true},
		{"WriteBufferSize", 64 << 10, 1, true},
	} {
		t.Run(c.field, func(t *testing.T) {
			sideBySideInBubble(t, func(s *testkit.Scene) {
				ln := httptestutil.NewListener(0)
				heads := make(chan string, 9)
				w := httptestutil.NewWireWith(s, httptestutil.WireOptions{Listener: ln, Bound: 24 * time.Hour}, noteHeads(heads))
				tr := s.Take(&http.Transport{DialContext: ln.Dial})
				for i := range 1 + c.again {
					if i == 1 {
						set(tr, c.field, c.value)
					}
					req := testkit.NewRequest(s, http.MethodPost, "http://example.test/", strings.NewReader("abc"))
					req.Header.Set("Expect", "100-continue")
					begun := time.Now()
					resp, err := tr.RoundTrip(req)
					said, took := fmt.Sprint(err), time.Since(begun)
					if err == nil {
						said = resp.Status
						testkit.ReadBody(s, resp)
					}
					asked := <-heads
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					if i == c.again {
						s.Note("%s after %v, asked with %s", said, took, asked)
					}
				}
				if c.conns {
					s.Note("%d connections", w.Conns())
				}
			})
		})
	}
}

// noteHeads is a slow server that notes some fields of each request.
func noteHeads(heads chan<- string) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		for {
			req := c.ReadRequest()
			if req == nil {
				return
			}
			heads <- req.Header.Get("Accept-Encoding") + " " + req.Header.Get("Connection")
			time.Sleep(10 * time.Second)
			c.Write(httptestutil.ResponseWith(200, "ok", "X-Long: "+strings.Repeat("x", 9000)))
		}
	}
}

// TestATLSConfigurationThatIsSetLateCountsForNewConnectionsAsWithNetHTTP begins with a configuration that does not trust
// the server's certificate.
func TestATLSConfigurationThatIsSetLateCountsForNewConnectionsAsWithNetHTTP(t *testing.T) {
	for name, config := range map[string]*http.Transport{
		"the zero Transport": {},
		"HTTP/2 turned off":  {TLSNextProto: noNextProto()},
		"HTTP/1 alone":       {Protocols: testkit.Versions(testkit.OverHTTP1)},
		"another one before": {TLSClientConfig: &tls.Config{ServerName: "example.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				o := bilingual(s, false, testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2))
				plain := bilingual(s, true, testkit.Versions(testkit.OverHTTP1))
				tr := s.Take(config.Clone())
				s.Speak(tr, plain.URL())
				s.Speak(tr, o.URL())
				set(tr, "TLSClientConfig", o.ClientTLS())
				s.Speak(tr, o.URL())
				s.Speak(tr, o.URL())
			})
		})
	}
}

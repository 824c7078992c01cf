package parity_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// offers is an origin that speaks HTTP/1.1 and HTTP/2, and what its last client has offered.
type offers struct {
	*httptestutil.Origin
	last atomic.Pointer[[]string]
}

func newOffers(t testing.TB) *offers {
	o, ca := new(offers), httptestutil.NewCA(t)
	o.Origin = httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		CA: ca, Protocols: testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2),
		TLS: &tls.Config{Certificates: []tls.Certificate{ca.Server()}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			o.last.Store(&hello.SupportedProtos)
			return nil, nil
		}},
	})
	return o
}

// offerCase is a way to say which protocols are wanted.
type offerCase struct {
	force      bool
	protocols  *http.Protocols
	configured []string
	turnedOff  bool
	dial       bool // by DialTLSContext, with the Transport's configuration
}

func (c offerCase) String() string {
	return fmt.Sprintf("ForceAttemptHTTP2 %v, Protocols %v, NextProtos %q, empty TLSNextProto %v, DialTLSContext %v",
		c.force, c.protocols, c.configured, c.turnedOff, c.dial)
}

func offerCases() (cases []offerCase) {
	for _, protocols := range []*http.Protocols{
		nil, testkit.Versions(), testkit.Versions(testkit.OverHTTP1), testkit.Versions(testkit.OverHTTP2), testkit.Versions(testkit.OverHTTP1, testkit.OverHTTP2), testkit.Versions(testkit.WithoutTLS),
	} {
		for _, configured := range [][]string{
			nil, {}, {"http/1.1"}, {"h2"}, {"h2", "http/1.1"}, {"http/1.1", "h2"}, {"x", "http/1.1"},
		} {
			for bits := range 8 {
				cases = append(cases, offerCase{bits&1 != 0, protocols, configured, bits&2 != 0, bits&4 != 0})
			}
		}
	}
	return cases
}

// ask notes which protocols are offered, and how the request ends.
func (c offerCase) ask(s *testkit.Scene, o *offers) {
	trusting := o.ClientTLS()
	trusting.NextProtos = slices.Clone(c.configured)
	config := &http.Transport{TLSClientConfig: trusting, ForceAttemptHTTP2: c.force, Protocols: c.protocols}
	if c.turnedOff {
		config.TLSNextProto = noNextProto()
	}
	if c.dial {
		config.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&tls.Dialer{Config: trusting}).DialContext(ctx, network, addr)
		}
	}
	tr := s.Take(config)
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(testkit.NewRequest(s, http.MethodGet, o.URL(), nil))
	protos := slices.Sorted(slices.Values(*o.last.Load())) // the order is the server's to choose by, or not
	if err != nil {
		s.Note("%q offered: %v", protos, err)
		return
	}
	s.Note("%q offered: %s, %q agreed upon", protos, resp.Proto, resp.TLS.NegotiatedProtocol)
	resp.Body.Close()
}

// TestWhatNetHTTPGetsServedIsOfferedAsByIt compares the protocols that the two offer. If net/http offers a protocol that it
// cannot speak, peerpool does not offer it, so that the request is served. A dialer that offers such a protocol is the
// exception.
func TestWhatNetHTTPGetsServedIsOfferedAsByIt(t *testing.T) {
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	o, served := newOffers(t), 0
	for _, c := range offerCases() {
		theirs, ours := &testkit.Scene{T: t}, &testkit.Scene{T: t, Ours: true}
		c.ask(theirs, o)
		c.ask(ours, o)
		want, got := theirs.Notes[0], ours.Notes[0]
		switch {
		case strings.Contains(want, "agreed upon"):
			served++
			if got != want {
				t.Errorf("%v:\npeerpool: %s\nnet/http: %s", c, got, want)
			}
		case got != want && !c.dial && !strings.Contains(got, "HTTP/1.1"):
			t.Errorf("%v:\npeerpool: %s\nnet/http: %s", c, got, want)
		}
	}
	if served == 0 {
		t.Error("net/http was served in no case, which shows nothing")
	}
	t.Logf("net/http was served in %d cases of %d", served, len(offerCases()))
}

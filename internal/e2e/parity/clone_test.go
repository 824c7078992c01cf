package parity_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/nettest"
	"github.com/peerpool/peerpool/internal/testkit"
)

// cloneOf clones either Transport.
func cloneOf(tr testkit.Transport) testkit.Transport {
	if t, ok := tr.(*peerpool.Transport); ok {
		return t.Clone()
	}
	return tr.(*http.Transport).Clone()
}

// TestACloneIsAsDeepAsNetHTTPs compares what a clone has, and what it shares with its original. HTTP/2 is turned off by
// an empty TLSNextProto: net/http's Clone sets it up otherwise.
func TestACloneIsAsDeepAsNetHTTPs(t *testing.T) {
	for name, config := range map[string]*http.Transport{
		"nothing set": {TLSNextProto: noNextProto()},
		"all set": {
			TLSNextProto: noNextProto(), TLSClientConfig: &tls.Config{}, ProxyConnectHeader: http.Header{"X-A": {"1"}},
			HTTP2: &http.HTTP2Config{}, Protocols: new(http.Protocols), Proxy: http.ProxyFromEnvironment,
			MaxConnsPerHost: 1, DisableCompression: true,
		},
		"empty": {
			TLSNextProto: noNextProto(), ProxyConnectHeader: http.Header{}, HTTP2: &http.HTTP2Config{}, Protocols: new(http.Protocols),
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.SideBySide(t, func(s *testkit.Scene) {
				tr := s.Use(config.Clone())
				clone := cloneOf(tr)
				s.NoteFields(tr, clone)
				s.NoteFields(clone, cloneOf(clone))
			})
		})
	}
}

func TestACloneForgetsProtocolsAsNetHTTPsDoes(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		tr := s.Use(nil)
		tr.RegisterProtocol("mine", &answering{s: s})
		clone := cloneOf(tr)
		s.Get(tr, "mine://x")
		s.Get(clone, "mine://x")
		clone.RegisterProtocol("mine", &answering{s: s})
		s.Get(clone, "mine://x")
	})
}

func TestNewClientConnIsAsNetHTTPs(t *testing.T) {
	testkit.SideBySide(t, func(s *testkit.Scene) {
		ca := httptestutil.NewCA(s)
		o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{CA: ca})
		tr := s.Use(&http.Transport{TLSClientConfig: o.ClientTLS()})
		for _, target := range [][2]string{
			{"ftp", o.Addr()}, {"", o.Addr()}, {"https", "no port"}, {"https", "127.0.0.1"}, {"http", nettest.RefusingAddr(t)}, {"https", ""},
		} {
			if _, err := tr.NewClientConn(s.Context(), target[0], target[1]); err == nil {
				s.Errorf("%q has a connection", target)
			} else {
				s.Fault(target[0], err)
			}
		}
		over, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := tr.NewClientConn(over, "https", o.Addr())
		s.Fault("its context is over", err)

		s.Get(tr, o.URL()) // a connection of the pool, which does not count
		cc, err := tr.NewClientConn(s.Context(), "https", o.Addr())
		if err != nil {
			s.Fatal(err)
		}
		s.Note("available %d, in flight %d", cc.Available(), cc.InFlight())
		s.Note("reserved: %v", cc.Reserve())
		s.Note("reserved again: %v; available %d, in flight %d", cc.Reserve(), cc.Available(), cc.InFlight())
		cc.Release()
		for range 2 {
			resp, err := cc.RoundTrip(testkit.NewRequest(s, http.MethodGet, o.URL(), nil))
			if err != nil {
				s.Fatal(err)
			}
			seen := httptestutil.ReadSeen(s, resp)
			s.Note("connection %d, request %d", seen.Conn, seen.Seq)
		}
		s.Note("closed: %v; %v", cc.Close(), cc.Err())
		o.WaitOpenConns(1)
	})
}

package peerpool_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"reflect"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// cloneOf clones either Transport.
func cloneOf(tr transport) transport {
	if t, ok := tr.(*peerpool.Transport); ok {
		return t.Clone()
	}
	return tr.(*http.Transport).Clone()
}

// noteFields notes of each field that both Transports have whether it is set, and whether two of them share it.
func (s *scene) noteFields(a, b transport) {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[http.Transport]()) {
		if !field.IsExported() {
			continue
		}
		fa, fb := va.FieldByName(field.Name), vb.FieldByName(field.Name)
		s.note("%s: set %v, and then %v, shared %v", field.Name, !fa.IsZero(), !fb.IsZero(), shared(fa, fb))
	}
}

func shared(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer, reflect.Map:
		return !a.IsNil() && a.UnsafePointer() == b.UnsafePointer()
	}
	return false
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
			sideBySide(t, func(s *scene) {
				tr := s.use(config.Clone())
				clone := cloneOf(tr)
				s.noteFields(tr, clone)
				s.noteFields(clone, cloneOf(clone))
			})
		})
	}
}

func TestACloneForgetsProtocolsAsNetHTTPsDoes(t *testing.T) {
	sideBySide(t, func(s *scene) {
		tr := s.use(nil)
		tr.RegisterProtocol("mine", &answering{s: s})
		clone := cloneOf(tr)
		s.get(tr, "mine://x")
		s.get(clone, "mine://x")
		clone.RegisterProtocol("mine", &answering{s: s})
		s.get(clone, "mine://x")
	})
}

func TestNewClientConnIsAsNetHTTPs(t *testing.T) {
	sideBySide(t, func(s *scene) {
		ca := httptestutil.NewCA(s)
		o := httptestutil.NewOrigin(s, httptestutil.OriginOptions{CA: ca})
		tr := s.use(&http.Transport{TLSClientConfig: o.ClientTLS()})
		for _, target := range [][2]string{
			{"ftp", o.Addr()}, {"", o.Addr()}, {"https", "no port"}, {"https", "127.0.0.1"}, {"http", testkit.FreeAddr(t)}, {"https", ""},
		} {
			if _, err := tr.NewClientConn(s.Context(), target[0], target[1]); err == nil {
				s.Errorf("%q has a connection", target)
			} else {
				s.fault(target[0], err)
			}
		}
		over, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := tr.NewClientConn(over, "https", o.Addr())
		s.fault("its context is over", err)

		s.get(tr, o.URL()) // a connection of the pool, which does not count
		cc, err := tr.NewClientConn(s.Context(), "https", o.Addr())
		if err != nil {
			s.Fatal(err)
		}
		s.note("available %d, in flight %d", cc.Available(), cc.InFlight())
		s.note("reserved: %v", cc.Reserve())
		s.note("reserved again: %v; available %d, in flight %d", cc.Reserve(), cc.Available(), cc.InFlight())
		cc.Release()
		for range 2 {
			resp, err := cc.RoundTrip(newRequest(s, http.MethodGet, o.URL(), nil))
			if err != nil {
				s.Fatal(err)
			}
			seen := httptestutil.ReadSeen(s, resp)
			s.note("connection %d, request %d", seen.Conn, seen.Seq)
		}
		s.note("closed: %v; %v", cc.Close(), cc.Err())
		o.WaitOpenConns(1)
	})
}

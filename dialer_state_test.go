package peerpool

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// shown is a connection around one with TLS, as of a dialer that counts bytes.
type shown struct{ net.Conn }

func (s shown) ConnectionState() tls.ConnectionState { return s.Conn.(*tls.Conn).ConnectionState() }

func TestACustomDialersConnectionAroundTLSIsSpokenToAsAgreed(t *testing.T) {
	for name, want := range map[string]int{"h2": 2, "http/1.1": 1} {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: speaking(1, 2)})
		tr := peerTransport(t, &Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			cfg := o.ClientTLS()
			cfg.NextProtos = []string{name}
			nc, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return shown{nc}, nil
		}})
		resp, err := tr.RoundTrip(peerRequest(t, o.URL(), nil))
		if err != nil {
			t.Fatal(err)
		}
		httptestutil.ReadSeen(t, resp)
		if resp.ProtoMajor != want || resp.TLS == nil || resp.TLS.NegotiatedProtocol != name {
			t.Errorf("with %q agreed upon, the response is %s with TLS %+v", name, resp.Proto, resp.TLS)
		}
	}
}

// wrapped is a TLS connection of another type, before its handshake.
type wrapped struct{ *tls.Conn }

func TestTheHandshakeOfACustomDialersConnectionIsCompletedWhateverItsType(t *testing.T) {
	for name, want := range map[string]int{"h2": 2, "http/1.1": 1} {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: speaking(1, 2)})
		tr := peerTransport(t, &Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := o.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			cfg := o.ClientTLS()
			cfg.NextProtos, cfg.ServerName = []string{name}, "127.0.0.1"
			return wrapped{tls.Client(nc, cfg)}, nil
		}})
		resp, err := tr.RoundTrip(peerRequest(t, o.URL(), nil))
		if err != nil {
			t.Fatal(err)
		}
		httptestutil.ReadSeen(t, resp)
		if resp.ProtoMajor != want || resp.TLS == nil || resp.TLS.NegotiatedProtocol != name {
			t.Errorf("with %q agreed upon, the response is %s with TLS %+v", name, resp.Proto, resp.TLS)
		}
	}
}

// stand is a connection whose TLS was made elsewhere. It knows the result of the handshake.
type stand struct {
	net.Conn
	protocol string
}

func (s stand) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: s.protocol}
}

func TestWhatACustomDialersConnectionSaysOfItsTLSIsBelieved(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Protocols: unencryptedHTTP2()})
	tr := peerTransport(t, &Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := o.Dial(ctx, network, addr)
		return stand{nc, "h2"}, err
	}})
	resp, err := tr.RoundTrip(peerRequest(t, "https://example.test", nil))
	if err != nil {
		t.Fatal(err)
	}
	httptestutil.ReadSeen(t, resp)
	if resp.ProtoMajor != 2 || resp.TLS == nil {
		t.Errorf("the response is %s with TLS %+v", resp.Proto, resp.TLS)
	}
}

func unencryptedHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

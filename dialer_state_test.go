package peerpool

import (
	"context"
	"crypto/tls"
	"net"
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

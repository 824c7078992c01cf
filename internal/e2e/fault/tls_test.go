package fault_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAServerThatCannotProveItsNameFailsAtTLS(t *testing.T) {
	ca := httptestutil.NewCA(t)
	past := httptestutil.CertOptions{NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}
	future := httptestutil.CertOptions{NotBefore: time.Now().Add(24 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour)}
	invalid := func(err error) bool {
		e, is := errors.AsType[x509.CertificateInvalidError](err)
		return is && e.Reason == x509.Expired
	}
	unknown := func(err error) bool { _, is := errors.AsType[x509.UnknownAuthorityError](err); return is }
	for name, c := range map[string]struct {
		cert tls.Certificate
		is   func(error) bool
		text string
	}{
		"expired":       {ca.Issue(past), invalid, "expired or is not yet valid"},
		"not yet valid": {ca.Issue(future), invalid, "expired or is not yet valid"},
		"self-signed":   {httptestutil.SelfSigned(t, httptestutil.CertOptions{}), unknown, "unknown authority"},
		"of another CA": {httptestutil.NewCA(t).Server(), unknown, "unknown authority"},
		"of another name": {ca.Server("other.test"), func(err error) bool {
			e, is := errors.AsType[x509.HostnameError](err)
			return is && e.Host == "127.0.0.1"
		}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			httptestutil.CheckLeaks(t)
			wire := httptestutil.NewWireWith(t, httptestutil.WireOptions{
				TLS: &tls.Config{Certificates: []tls.Certificate{c.cert}},
			}, httptestutil.Replies(testkit.Ok))
			s := testkit.Observe(t, &peerpool.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}})
			body := testkit.TrackBody(strings.NewReader("a secret"))
			err := testkit.FailsToDial(s, testkit.NewRequest(t, "POST", wire.URL(), body))
			if err.Hop != "tls" || err.Timeout() || !c.is(err) {
				t.Errorf("%+v", err)
			}
			if _, is := errors.AsType[*tls.CertificateVerificationError](err); !is {
				t.Errorf("%T is no CertificateVerificationError", err.Err)
			}
			if text := err.Error(); !strings.HasPrefix(text, "tls: failed to verify certificate: x509: ") || !strings.Contains(text, c.text) {
				t.Errorf("text: %v", err)
			}
			body.WantClosed(t)
			wire.WaitOpenConns(0)
			if st := s.Stats(); st.Dials != 1 || st.Opened != 0 || wire.Conns() != 1 || wire.Requests() != 0 {
				t.Errorf("%d connections, %d requests, %+v", wire.Conns(), wire.Requests(), st)
			}
		})
	}
}

func TestAServerThatNeverShakesHandsCostsTLSHandshakeTimeout(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, func(c *httptestutil.WireConn) { c.WaitClosed() })
	s := testkit.Observe(t, &peerpool.Transport{TLSHandshakeTimeout: 10 * time.Millisecond})
	err := testkit.FailsToDial(s, testkit.NewRequest(t, "GET", "https"+strings.TrimPrefix(wire.URL(), "http"), nil))
	if err.Hop != "tls" || !err.Timeout() || err.Error() != "net/http: TLS handshake timeout" {
		t.Errorf("%+v", err)
	}
	wire.WaitClientClosed(1)
}

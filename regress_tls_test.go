package peerpool

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// regressVersions are those that resume sessions in different ways.
var regressVersions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// TestARotatedClientCertificateIsPresentedOnTheNextConnection: a resumed session would present the old one.
func TestARotatedClientCertificateIsPresentedOnTheNextConnection(t *testing.T) {
	for _, version := range regressVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ca := httptestutil.NewCA(t)
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: &tls.Config{
				MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert,
			}})
			var mu sync.Mutex // guards current
			current := ca.Client("old")
			cfg := o.ClientTLS()
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				mu.Lock()
				defer mu.Unlock()
				shown := current
				return &shown, nil
			}
			tr := peerTransport(t, &Transport{TLSClientConfig: cfg, DisableKeepAlives: true})
			if seen := peerGet(t, tr, o.URL(), nil); seen.ClientCN != "old" {
				t.Fatalf("the server saw %q, want the old certificate", seen.ClientCN)
			}
			mu.Lock()
			current = ca.Client("new")
			mu.Unlock()
			if seen := peerGet(t, tr, o.URL(), nil); seen.ClientCN != "new" {
				t.Errorf("the server saw %q, want the new certificate", seen.ClientCN)
			}
		})
	}
}

// TestBothOfTheUsersVerificationsRunOnEveryConnection: crypto/tls itself calls VerifyPeerCertificate on full
// handshakes only.
func TestBothOfTheUsersVerificationsRunOnEveryConnection(t *testing.T) {
	for _, version := range regressVersions {
		for how, opts := range verifications {
			t.Run(tls.VersionName(version)+", verifying "+how, func(t *testing.T) {
				o := resumableOrigin(t, version)
				certificates, connections := 0, 0
				cfg := o.ClientTLS()
				cfg.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { certificates++; return nil }
				cfg.VerifyConnection = func(tls.ConnectionState) error { connections++; return nil }
				tr := peerTransport(t, &Transport{TLSClientConfig: cfg, DisableKeepAlives: true})
				peer := peerNew(t, opts)
				for want := 1; want <= 3; want++ {
					peerGet(t, tr, o.URL(), peer)
					if certificates != want || connections != want {
						t.Errorf("after %d connections VerifyPeerCertificate was called %d times, VerifyConnection %d",
							want, certificates, connections)
					}
				}
			})
		}
	}
}

// TestSkipVerifyVerifiesNothingWhateverIsSaidOfNames: an exception for the name is not a demand for the rest.
func TestSkipVerifyVerifiesNothingWhateverIsSaidOfNames(t *testing.T) {
	for name, opts := range map[string]PeerOptions{
		"SkipVerify":                        {SkipVerify: true},
		"SkipVerify and SkipHostnameVerify": {SkipVerify: true, SkipHostnameVerify: true},
	} {
		t.Run(name, func(t *testing.T) {
			unknown := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: &tls.Config{Certificates: []tls.Certificate{
				httptestutil.SelfSigned(t, httptestutil.CertOptions{DNSNames: []string{"other.test"}}),
			}}})
			tr := peerTransport(t, &Transport{})
			peerGet(t, tr, unknown.URL(), peerNew(t, opts))
			peerFail(t, tr, unknown.URL(), peerNew(t, PeerOptions{SkipHostnameVerify: true}))
		})
	}
}

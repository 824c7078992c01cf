package peerpool

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// verdictOn says why a server's certificate is refused; nil: it is accepted.
type verdictOn func(error) bool

var (
	accepted verdictOn

	wrongName verdictOn = func(err error) bool {
		var e x509.HostnameError
		return errors.As(err, &e)
	}
	wrongRoot verdictOn = func(err error) bool {
		var e x509.UnknownAuthorityError
		return errors.As(err, &e)
	}
	expired verdictOn = func(err error) bool {
		var e x509.CertificateInvalidError
		return errors.As(err, &e) && e.Reason == x509.Expired
	}
)

// The ways of a peer to verify the server example.test.
var verifications = map[string]PeerOptions{
	"all":         {ServerName: "example.test"},
	"alternative": {ServerName: "example.test", AlternativeName: "alt.test"},
	"no name":     {ServerName: "example.test", SkipHostnameVerify: true},
	"nothing":     {ServerName: "example.test", SkipVerify: true},
}

// verifyCase is a server's certificate, and what becomes of it under each of the verifications.
type verifyCase struct {
	name  string
	issue func(t *testing.T, ca *httptestutil.CA) tls.Certificate
	want  map[string]verdictOn // those not listed accept it
}

// withNames returns what issues a certificate of ca for a name.
func withNames(opts httptestutil.CertOptions) func(*testing.T, *httptestutil.CA) tls.Certificate {
	return func(_ *testing.T, ca *httptestutil.CA) tls.Certificate { return ca.Issue(opts) }
}

var yesterday = time.Now().Add(-24 * time.Hour)

var verifyCases = []verifyCase{
	{"right in all", withNames(httptestutil.CertOptions{DNSNames: []string{"example.test"}}), nil},
	{"of an intermediate authority", func(_ *testing.T, ca *httptestutil.CA) tls.Certificate {
		return ca.Intermediate("between").Server("example.test")
	}, nil},
	{"for both names", withNames(httptestutil.CertOptions{DNSNames: []string{"alt.test", "example.test"}}), nil},
	{"for the alternative name", withNames(httptestutil.CertOptions{DNSNames: []string{"alt.test"}}),
		map[string]verdictOn{"all": wrongName}},
	{"for neither name", withNames(httptestutil.CertOptions{DNSNames: []string{"other.test"}}),
		map[string]verdictOn{"all": wrongName, "alternative": wrongName}},
	{"for a name below", withNames(httptestutil.CertOptions{DNSNames: []string{"a.example.test", "a.alt.test"}}),
		map[string]verdictOn{"all": wrongName, "alternative": wrongName}},
	{"expired", withNames(httptestutil.CertOptions{DNSNames: []string{"example.test"}, NotAfter: yesterday}),
		map[string]verdictOn{"all": expired, "alternative": expired, "no name": expired}},
	{"expired, for the alternative name", withNames(httptestutil.CertOptions{DNSNames: []string{"alt.test"}, NotAfter: yesterday}),
		map[string]verdictOn{"all": expired, "alternative": expired, "no name": expired}},
	{"not valid yet", withNames(httptestutil.CertOptions{DNSNames: []string{"example.test"}, NotBefore: time.Now().Add(time.Hour)}),
		map[string]verdictOn{"all": expired, "alternative": expired, "no name": expired}},
	{"self-signed", func(t *testing.T, _ *httptestutil.CA) tls.Certificate {
		return httptestutil.SelfSigned(t, httptestutil.CertOptions{DNSNames: []string{"example.test", "alt.test"}})
	}, map[string]verdictOn{"all": wrongRoot, "alternative": wrongRoot, "no name": wrongRoot}},
	{"of another authority", func(t *testing.T, _ *httptestutil.CA) tls.Certificate {
		return httptestutil.NewCA(t).Server("example.test", "alt.test")
	}, map[string]verdictOn{"all": wrongRoot, "alternative": wrongRoot, "no name": wrongRoot}},
	{"for a client", withNames(httptestutil.CertOptions{DNSNames: []string{"example.test", "alt.test"}, Client: true}),
		map[string]verdictOn{"all": wrongUsage, "alternative": wrongUsage, "no name": wrongUsage}},
}

var wrongUsage verdictOn = func(err error) bool {
	var e x509.CertificateInvalidError
	return errors.As(err, &e) && e.Reason == x509.IncompatibleUsage
}

func TestACertificateIsVerifiedAsThePeerSays(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range verifyCases {
			t.Run(tls.VersionName(version)+", "+c.name, func(t *testing.T) {
				ca := httptestutil.NewCA(t)
				o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: &tls.Config{
					Certificates: []tls.Certificate{c.issue(t, ca)}, MaxVersion: version,
				}})
				tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), DisableKeepAlives: true})
				for how, opts := range verifications {
					wantVerdict(t, tr, o.URL(), peerNew(t, opts), how, c.want[how])
				}
			})
		}
	}
}

// wantVerdict asks twice: the second time, a server that was accepted resumes its session.
func wantVerdict(t *testing.T, tr *Transport, target string, peer *Peer, how string, want verdictOn) {
	t.Helper()
	for _, resumed := range []bool{false, true} {
		if want == nil {
			seen := peerGet(t, tr, target, peer)
			if how == "nothing" {
				continue // crypto/tls begins anew with an expired certificate, even where nobody verifies it
			}
			if seen.DidResume != resumed {
				t.Errorf("%s: the session was resumed: %v, want %v", how, seen.DidResume, resumed)
			}
			continue
		}
		err := peerFail(t, tr, target, peer)
		peerWantHop(t, err, "tls")
		var verification *tls.CertificateVerificationError
		if !errors.As(err, &verification) || !want(err) {
			t.Errorf("%s: refused with %v", how, err)
		}
	}
}

// The test turns the client's clock.
func TestACertificateThatExpiresIsNotAcceptedOnAResumedSession(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for how, opts := range verifications {
			t.Run(tls.VersionName(version)+", verifying "+how, func(t *testing.T) {
				var hours atomic.Int64
				ca := httptestutil.NewCA(t)
				cert := ca.Issue(httptestutil.CertOptions{DNSNames: []string{"example.test"}, NotAfter: time.Now().Add(time.Hour)})
				o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: &tls.Config{
					Certificates: []tls.Certificate{cert}, MaxVersion: version,
				}})
				cfg := o.ClientTLS()
				cfg.Time = func() time.Time { return time.Now().Add(time.Duration(hours.Load()) * time.Hour) }
				tr := peerTransport(t, &Transport{TLSClientConfig: cfg, DisableKeepAlives: true})
				peer := peerNew(t, opts)
				wantVerdict(t, tr, o.URL(), peer, how, accepted)

				hours.Store(2)
				if how == "nothing" {
					peerGet(t, tr, o.URL(), peer)
					return
				}
				if err := peerFail(t, tr, o.URL(), peer); !expired(err) {
					t.Errorf("refused with %v", err)
				}
			})
		}
	}
}

// resumableOrigin is a server for example.test.
func resumableOrigin(t *testing.T, version uint16) *httptestutil.Origin {
	t.Helper()
	ca := httptestutil.NewCA(t)
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Server("example.test")}, MaxVersion: version,
	}})
}

func TestTheUsersVerifyConnectionRunsWhateverThePeerSays(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for how, opts := range verifications {
			t.Run(tls.VersionName(version)+", verifying "+how, func(t *testing.T) {
				o := resumableOrigin(t, version)
				verdict := error(nil)
				var states []tls.ConnectionState
				cfg := o.ClientTLS()
				cfg.VerifyConnection = func(state tls.ConnectionState) error {
					states = append(states, state)
					return verdict
				}
				tr := peerTransport(t, &Transport{TLSClientConfig: cfg, DisableKeepAlives: true})
				peer := peerNew(t, opts)
				wantVerdict(t, tr, o.URL(), peer, how, accepted)
				if len(states) != 2 || states[0].DidResume || !states[1].DidResume {
					t.Fatalf("VerifyConnection was called %d times, want once at the full handshake and once at the resumed one", len(states))
				}
				for i, state := range states {
					if chains := len(state.VerifiedChains); (chains > 0) == opts.SkipVerify {
						t.Errorf("call %d: VerifyConnection saw %d verified chains", i, chains)
					}
				}
				verdict = errors.New("not this one")
				if err := peerFail(t, tr, o.URL(), peer); !errors.Is(err, verdict) {
					t.Errorf("refused with %v, want the error of VerifyConnection", err)
				}
			})
		}
	}
}

func TestTheUsersVerifyConnectionDoesNotSeeAServerThatIsRefused(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	cfg := o.ClientTLS()
	cfg.VerifyConnection = func(tls.ConnectionState) error { t.Error("VerifyConnection was called"); return nil }
	tr := peerTransport(t, &Transport{TLSClientConfig: cfg})
	other := httptestutil.NewCA(t).Pool()
	peerFail(t, tr, o.URL(), peerNew(t, PeerOptions{RootCAs: other, SkipHostnameVerify: true}))
	peerFail(t, tr, o.URL(), peerNew(t, PeerOptions{RootCAs: other, AlternativeName: "a.example.test"}))
	peerFail(t, tr, o.URL(), peerNew(t, PeerOptions{ServerName: "other.test", AlternativeName: "another.test"}))
}

// crypto/tls does not call VerifyPeerCertificate on a resumed session, so the Transport does.
func TestVerifyPeerCertificateIsNotPassedByOnAResumedSession(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for how, opts := range verifications {
			t.Run(tls.VersionName(version)+", verifying "+how, func(t *testing.T) {
				o := resumableOrigin(t, version)
				calls, verdict := 0, error(nil)
				cfg := o.ClientTLS()
				cfg.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
					calls++
					if len(raw) == 0 || (len(chains) > 0) == opts.SkipVerify {
						t.Errorf("call %d: %d certificates and %d verified chains", calls, len(raw), len(chains))
					}
					return verdict
				}
				tr := peerTransport(t, &Transport{TLSClientConfig: cfg, DisableKeepAlives: true})
				peer := peerNew(t, opts)
				for want := 1; want <= 3; want++ {
					peerGet(t, tr, o.URL(), peer)
					if calls != want {
						t.Fatalf("after %d connections VerifyPeerCertificate was called %d times", want, calls)
					}
				}
				verdict = errors.New("not this one")
				if err := peerFail(t, tr, o.URL(), peer); !errors.Is(err, verdict) {
					t.Errorf("refused with %v, want the error of VerifyPeerCertificate", err)
				}
			})
		}
	}
}

// TestBothOfTheUsersVerificationsRunOnEveryConnection resumes sessions, because crypto/tls calls VerifyPeerCertificate only
// for full handshakes.
func TestBothOfTheUsersVerificationsRunOnEveryConnection(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
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

// An option that excepts the name from the verification does not ask for the rest of it.
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

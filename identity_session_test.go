package peerpool

import (
	"crypto/tls"
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// resumptionPeers returns peers that differ in what they are to the server, or in what they accept of it.
func resumptionPeers(t *testing.T, ca *httptestutil.CA) map[string]PeerOptions {
	t.Helper()
	a, b := ca.Client("a"), ca.Client("b")
	more := ca.Pool()
	more.AddCert(httptestutil.NewCA(t).Certificate())
	return map[string]PeerOptions{
		"no certificate":   {},
		"certificate a":    {ClientCertificate: &a},
		"certificate b":    {ClientCertificate: &b},
		"other roots":      {RootCAs: more},
		"skip verify":      {SkipVerify: true},
		"skip hostname":    {SkipHostnameVerify: true},
		"alternative name": {AlternativeName: "a.example.test"},
		"group":            {Group: "g"},
	}
}

func TestATLSSessionIsResumedWithinAnIdentityAndNeverAcross(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, shared := range []bool{false, true} {
			name := tls.VersionName(version)
			if shared {
				name += ", with a session cache of the user's"
			}
			t.Run(name, func(t *testing.T) {
				server := peerAsksForCert()
				server.MaxVersion = version
				o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{TLS: server})
				cfg := o.ClientTLS()
				cfg.ServerName = "example.test"
				if shared {
					cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
				}
				wantSessionsApart(t, o, cfg)
			})
		}
	}
}

// wantSessionsApart asks as every peer in turn, twice, each time on a new connection.
func wantSessionsApart(t *testing.T, o *httptestutil.Origin, cfg *tls.Config) {
	t.Helper()
	tr := peerTransport(t, &Transport{TLSClientConfig: cfg, DisableKeepAlives: true})
	peers := make(map[string]*Peer)
	for name, opts := range resumptionPeers(t, o.CA()) {
		peers[name] = peerNew(t, opts)
		if seen := peerGet(t, tr, o.URL(), peers[name]); seen.DidResume {
			t.Errorf("%s: the first connection resumed the session of somebody else", name)
		}
	}
	for name, peer := range peers {
		seen := peerGet(t, tr, o.URL(), peer)
		if !seen.DidResume {
			t.Errorf("%s: the second connection did not resume its session", name)
		}
		want := ""
		if cert := peer.opts.ClientCertificate; cert != nil {
			want = cert.Leaf.Subject.CommonName
		}
		if seen.ClientCN != want {
			t.Errorf("%s: the resumed session is that of the client %q, want %q", name, seen.ClientCN, want)
		}
	}
}

func TestATLSSessionIsNotResumedWithAnotherAddressOfTheSameName(t *testing.T) {
	ca := httptestutil.NewCA(t)
	// Two servers with the same keys for their tickets: each could resume what the other began.
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.Server()}}
	cfg.SetSessionTicketKeys([][32]byte{{1}})
	one := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: cfg})
	two := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: cfg})
	tr := peerTransport(t, &Transport{TLSClientConfig: one.ClientTLS(), DisableKeepAlives: true})
	toTwo := peerNew(t, PeerOptions{Addr: two.Addr()})

	peerGet(t, tr, one.URL(), nil)
	if peerGet(t, tr, one.URL(), toTwo).DidResume {
		t.Error("the session with the first server was resumed with the second")
	}
	if !peerGet(t, tr, one.URL(), nil).DidResume {
		t.Error("the session with the first server was not resumed with itself")
	}
}

func TestATLSSessionWithAProxyStaysWithThatProxy(t *testing.T) {
	ca := httptestutil.NewCA(t)
	resumed := make(chan bool, 10)
	cfg := &tls.Config{
		Certificates:     []tls.Certificate{ca.Server()},
		VerifyConnection: func(state tls.ConnectionState) error { resumed <- state.DidResume; return nil },
	}
	cfg.SetSessionTicketKeys([][32]byte{{1}})
	one := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{CA: ca, TLS: cfg})
	two := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{CA: ca, TLS: cfg})
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca})
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), DisableKeepAlives: true})

	for _, step := range []struct {
		proxy *httptestutil.Proxy
		want  bool
	}{{one, false}, {two, false}, {one, true}, {two, true}} {
		peerGet(t, tr, o.URL(), peerNew(t, PeerOptions{Proxy: step.proxy.URL()}))
		if got := <-resumed; got != step.want {
			t.Errorf("the session with the proxy was resumed: %v, want %v", got, step.want)
		}
	}
}

func TestAServerDoesNotResumeTheSessionOfItsProxy(t *testing.T) {
	ca := httptestutil.NewCA(t)
	// The proxy and the origin are the same to TLS: name, certificate, and keys for tickets.
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.Server()}}
	cfg.SetSessionTicketKeys([][32]byte{{1}})
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{CA: ca, TLS: cfg})
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: cfg})
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), DisableKeepAlives: true, Proxy: peerProxy(p.URL())})
	if peerGet(t, tr, o.URL(), nil).DidResume {
		t.Error("the origin resumed the session with the proxy")
	}
	if !peerGet(t, tr, o.URL(), nil).DidResume {
		t.Error("the origin did not resume its own session")
	}
}

// A resumed session would present the old certificate.
func TestARotatedClientCertificateIsPresentedOnTheNextConnection(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
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

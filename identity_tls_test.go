package peerpool

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// tlsCases are the attributes of an identity that a Peer says about TLS.
var tlsCases = []identityCase{
	{name: "SNI, from the URL", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		tr := peerTransport(t, &Transport{
			Resolver:        peerLoopback(t, "a.example.test", "b.example.test"),
			TLSClientConfig: o.ClientTLS(),
		})
		return []peerAsk{
			askAs(tr, peerURL(t, o, "a.example.test"), nil, "a.example.test"),
			askAs(tr, peerURL(t, o, "b.example.test"), nil, "b.example.test"),
		}
	}},
	{name: "SNI, from the Peer", covers: []string{"PeerOptions.ServerName"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS()})
		a := peerNew(t, PeerOptions{ServerName: "a.example.test"})
		b := peerNew(t, PeerOptions{ServerName: "b.example.test"})
		return []peerAsk{
			askAs(tr, o.URL(), nil, ""), // an IP address is not sent as a name
			askAs(tr, o.URL(), a, "a.example.test"),
			askAs(tr, o.URL(), b, "b.example.test"),
		}
	}},
	{name: "alternative name", covers: []string{"PeerOptions.AlternativeName"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		return askPeers(t, &Transport{TLSClientConfig: o.ClientTLS()}, o.URL(), PeerOptions{},
			PeerOptions{AlternativeName: "a.example.test"}, PeerOptions{AlternativeName: "b.example.test"})
	}},
	{name: "verification", covers: []string{"PeerOptions.SkipVerify", "PeerOptions.SkipHostnameVerify"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		return askPeers(t, &Transport{TLSClientConfig: o.ClientTLS()}, o.URL(),
			PeerOptions{}, PeerOptions{SkipHostnameVerify: true}, PeerOptions{SkipVerify: true})
	}},
	{name: "trust roots", covers: []string{"PeerOptions.RootCAs"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		more := o.CA().Pool()
		more.AddCert(httptestutil.NewCA(t).Certificate())
		return askPeers(t, &Transport{}, o.URL(), PeerOptions{RootCAs: o.CA().Pool()}, PeerOptions{RootCAs: more})
	}},
	{name: "protocols offered", covers: []string{"PeerOptions.Protocols"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: speaking(1, 2)})
		return askPeers(t, &Transport{TLSClientConfig: o.ClientTLS()}, o.URL(),
			PeerOptions{}, PeerOptions{Protocols: speaking(1, 2)}, PeerOptions{Protocols: speaking(2)})
	}},
	{name: "HTTP/2 without TLS", asks: func(t *testing.T) []peerAsk {
		without := speaking()
		without.SetUnencryptedHTTP2(true)
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Protocols: anyPlain()})
		return askPeers(t, &Transport{}, o.URL(), PeerOptions{}, PeerOptions{Protocols: without})
	}},
	{name: "client certificate", covers: []string{"PeerOptions.ClientCertificate"}, asks: func(t *testing.T) []peerAsk {
		o, ca := mutualOrigin(t)
		a, b := ca.Client("a"), ca.Client("b")
		return askAsClients(t, o, nil, &a, &b)
	}},
	{name: "client certificates of two authorities with one serial number and one subject", asks: func(t *testing.T) []peerAsk {
		o, ca := mutualOrigin(t)
		same := httptestutil.CertOptions{CommonName: "a", Serial: 7, Client: true}
		a, b := ca.Issue(same), httptestutil.NewCA(t).Issue(same)
		return askAsClients(t, o, &a, &b)
	}},
	{name: "chain of one client certificate", asks: func(t *testing.T) []peerAsk {
		o, ca := mutualOrigin(t)
		short := ca.Intermediate("between").Client("a")
		long := short
		short.Certificate = short.Certificate[:1]
		return askAsClients(t, o, &short, &long)
	}},
}

// tlsConfigCases change a field of Transport.TLSClientConfig each. The full list of those that count is that
// of internal/tlsid, which guards it.
var tlsConfigCases = []identityCase{
	configCase("minimum TLS version", func(_ *testing.T, c *tls.Config) { c.MinVersion = tls.VersionTLS12 }),
	configCase("maximum TLS version", func(_ *testing.T, c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
	configCase("cipher suites", func(_ *testing.T, c *tls.Config) {
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	}),
	configCase("curves", func(_ *testing.T, c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} }),
	configCase("ALPN", func(_ *testing.T, c *tls.Config) { c.NextProtos = []string{"http/1.1"} }),
	configCase("server name of the configuration", func(_ *testing.T, c *tls.Config) { c.ServerName = "a.example.test" }),
	configCase("verification turned off", func(_ *testing.T, c *tls.Config) { c.InsecureSkipVerify = true }),
	configCase("roots of the configuration", func(t *testing.T, c *tls.Config) {
		c.RootCAs.AddCert(httptestutil.NewCA(t).Certificate())
	}),
	configCase("certificate of the configuration", func(t *testing.T, c *tls.Config) {
		c.Certificates = []tls.Certificate{httptestutil.NewCA(t).Client("a")}
	}),
	configCase("session tickets turned off", func(_ *testing.T, c *tls.Config) { c.SessionTicketsDisabled = true }),
	configCase("renegotiation", func(_ *testing.T, c *tls.Config) { c.Renegotiation = tls.RenegotiateOnceAsClient }),
	configCase("record sizes", func(_ *testing.T, c *tls.Config) { c.DynamicRecordSizingDisabled = true }),
	configCase("key log", func(_ *testing.T, c *tls.Config) { c.KeyLogWriter = io.Discard }),
	configCase("clock", func(_ *testing.T, c *tls.Config) { c.Time = time.Now }),
	configCase("a callback for the certificate", func(_ *testing.T, c *tls.Config) {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }
	}),
	configCase("VerifyConnection", func(_ *testing.T, c *tls.Config) {
		c.VerifyConnection = func(tls.ConnectionState) error { return nil }
	}),
	configCase("VerifyPeerCertificate", func(_ *testing.T, c *tls.Config) {
		c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return nil }
	}),
	{name: "one callback in two configurations", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		accept := func(tls.ConnectionState) error { return nil }
		one, two := o.ClientTLS(), o.ClientTLS()
		one.VerifyConnection, two.VerifyConnection = accept, accept
		return askConfigs(t, &Transport{}, o.URL(), one, two)
	}},
}

// configCase is a configuration, and the same with one field changed.
func configCase(name string, change func(*testing.T, *tls.Config)) identityCase {
	return identityCase{name: name, covers: []string{"Transport.TLSClientConfig"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		before, after := o.ClientTLS(), o.ClientTLS()
		change(t, after)
		return askConfigs(t, &Transport{}, o.URL(), before, after)
	}}
}

// askConfigs asks through tr with each of the configurations.
func askConfigs(t *testing.T, tr *Transport, target string, configs ...*tls.Config) []peerAsk {
	t.Helper()
	peerTransport(t, tr)
	var asks []peerAsk
	for _, cfg := range configs {
		asks = append(asks, func(t *testing.T) httptestutil.Seen {
			t.Helper()
			tr.TLSClientConfig = cfg
			return peerGet(t, tr, target, nil)
		})
	}
	return asks
}

// askAsClients sends a request as each of the clients, and checks which client the origin saw. Nil is a client without a certificate.
func askAsClients(t *testing.T, o *httptestutil.Origin, certs ...*tls.Certificate) []peerAsk {
	t.Helper()
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS()})
	var asks []peerAsk
	for _, cert := range certs {
		want := ""
		if cert != nil {
			want = cert.Leaf.Subject.CommonName
		}
		peer := peerNew(t, PeerOptions{ClientCertificate: cert})
		asks = append(asks, func(t *testing.T) httptestutil.Seen {
			t.Helper()
			seen := peerGet(t, tr, o.URL(), peer)
			if seen.ClientCN != want {
				t.Errorf("the origin saw the client %q, want %q", seen.ClientCN, want)
			}
			return seen
		})
	}
	return asks
}

// askAs asks for a URL, and checks which name was sent.
func askAs(tr *Transport, target string, peer *Peer, sni string) peerAsk {
	return func(t *testing.T) httptestutil.Seen {
		t.Helper()
		seen := peerGet(t, tr, target, peer)
		if seen.SNI != sni {
			t.Errorf("the name sent is %q, want %q", seen.SNI, sni)
		}
		return seen
	}
}

// speaking returns the protocols of those major versions.
func speaking(versions ...int) *http.Protocols {
	p := new(http.Protocols)
	for _, v := range versions {
		switch v {
		case 1:
			p.SetHTTP1(true)
		case 2:
			p.SetHTTP2(true)
		}
	}
	return p
}

// anyPlain returns what a server without TLS may speak.
func anyPlain() *http.Protocols {
	p := speaking(1)
	p.SetUnencryptedHTTP2(true)
	return p
}

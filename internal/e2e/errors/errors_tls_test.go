package errors_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// serving is a row: a server with a certificate for 127.0.0.1, and a client that is configured by its authority.
func serving(server *tls.Config, client func(*httptestutil.CA) *tls.Config) func(*performance) {
	return func(p *performance) {
		ca := httptestutil.NewCA(p)
		o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: ca, TLS: server.Clone()})
		p.get(p.use(&http.Transport{TLSClientConfig: client(ca)}), o.URL())
		p.do(p.use(&http.Transport{TLSClientConfig: client(ca), ForceAttemptHTTP2: true}), p.upload(o.URL(), 10))
	}
}

// presenting is a row: a server with such a certificate.
func presenting(opts httptestutil.CertOptions) func(*performance) {
	return func(p *performance) {
		ca := httptestutil.NewCA(p)
		server := &tls.Config{Certificates: []tls.Certificate{ca.Issue(opts)}}
		o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: ca, TLS: server})
		p.get(p.use(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}), o.URL())
	}
}

func trusting(ca *httptestutil.CA) *tls.Config { return &tls.Config{RootCAs: ca.Pool()} }

func TestTLSFailsAsWithNetHTTP(t *testing.T) {
	with := func(change func(*tls.Config)) func(*httptestutil.CA) *tls.Config {
		return func(ca *httptestutil.CA) *tls.Config {
			cfg := trusting(ca)
			change(cfg)
			return cfg
		}
	}
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	refuse := func(tls.ConnectionState) error { return errOfTheCaller }
	table := failures{
		"unknown authority": serving(&tls.Config{}, func(*httptestutil.CA) *tls.Config { return &tls.Config{RootCAs: x509.NewCertPool()} }),
		"another name":      serving(&tls.Config{}, with(func(c *tls.Config) { c.ServerName = "other.org" })),
		"another address":   presenting(httptestutil.CertOptions{IPs: []net.IP{net.IPv4(10, 0, 0, 1)}}),
		"only names":        presenting(httptestutil.CertOptions{DNSNames: []string{"example.test"}}),
		"expired": presenting(httptestutil.CertOptions{IPs: loopback,
			NotBefore: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2002, 1, 1, 0, 0, 0, 0, time.UTC)}),
		"not valid yet": serving(&tls.Config{}, with(func(c *tls.Config) {
			c.Time = func() time.Time { return time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC) }
		})),
		"for clients only": presenting(httptestutil.CertOptions{IPs: loopback, Client: true}),
		"no authority at all": func(p *performance) {
			cert := httptestutil.SelfSigned(p, httptestutil.CertOptions{})
			o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
			p.get(p.use(&http.Transport{}), o.URL())
		},
		"no common version": serving(&tls.Config{MaxVersion: tls.VersionTLS12}, with(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })),
		"no common cipher": serving(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
			with(func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256} })),
		"no certificate, TLS 1.2":   serving(&tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, trusting),
		"a refusal of the client's": serving(&tls.Config{}, with(func(c *tls.Config) { c.VerifyConnection = refuse })),
		"a refusal of the client's certificate check": serving(&tls.Config{}, with(func(c *tls.Config) {
			c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errOfTheCaller }
		})),
		"a refusal of the server's": serving(&tls.Config{MaxVersion: tls.VersionTLS12, VerifyConnection: refuse}, trusting),
		"an internal error of the server's": serving(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return nil, errOfTheCaller
		}}, trusting),
		"no certificate to be had": serving(&tls.Config{ClientAuth: tls.RequireAnyClientCert}, with(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, errOfTheCaller }
		})),
		"no common protocol": serving(&tls.Config{NextProtos: []string{"other"}}, with(func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} })),
		"no handshake in time": func(p *performance) {
			w := httptestutil.NewWire(p, httptestutil.ReadNothing)
			p.get(p.use(&http.Transport{TLSHandshakeTimeout: 20 * time.Millisecond}), secure(w.URL()))
		},
		"a handshake of DialTLSContext's connection": func(p *performance) {
			o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: httptestutil.NewCA(p)})
			p.get(p.use(&http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return tls.Client(nc, &tls.Config{ServerName: "127.0.0.1"}), nil
			}}), o.URL())
		},
	}
	for name, script := range map[string]httptestutil.Script{
		"a greeting in plain text": httptestutil.WriteFirst("220 mail ready\r\n", func(c *httptestutil.WireConn) { c.WaitClosed() }),
		"an HTTP response":         hangUp("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"an old HTTP response":     hangUp("HTTP/1.0 400 Bad Request\r\n\r\n"),
		"garbage":                  hangUp("garbage"),
		"nothing":                  hangUp(""),
		"a reset":                  reset,
		"half a record":            hangUp("\x16\x03\x03\x00\x7a\x02"),
		"an alert":                 hangUp("\x15\x03\x03\x00\x02\x02\x28"),
		"a warning and the end":    hangUp("\x15\x03\x03\x00\x02\x01\x00"),
		"a record too long":        hangUp("\x16\x03\x03\xff\xff"),
	} {
		table["answered by "+name] = func(p *performance) {
			p.get(p.use(&http.Transport{}), secure(httptestutil.NewWire(p, script).URL()))
		}
	}
	table["plain HTTP to TLS"] = func(p *performance) {
		o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: httptestutil.NewCA(p)})
		p.get(p.use(&http.Transport{}), "http://"+o.Addr())
	}
	table["plain HTTP to TLS that answers with an alert"] = func(p *performance) {
		p.get(p.use(&http.Transport{}), httptestutil.NewWire(p, hangUp("\x15\x03\x01\x00\x02\x02\x46")).URL())
	}
	compare(t, table)
}

// TestTLSThatFailsAfterTheHandshakeFailsAsWithNetHTTP tests TLS 1.3, in which the server looks at the client's certificate
// after the handshake has ended for the client.
func TestTLSThatFailsAfterTheHandshakeFailsAsWithNetHTTP(t *testing.T) {
	compare(t, failures{
		"no certificate": serving13(&tls.Config{ClientAuth: tls.RequireAnyClientCert}),
		"a cut": func(p *performance) {
			w := httptestutil.NewWireWith(p, httptestutil.WireOptions{CA: httptestutil.NewCA(p)}, httptestutil.ReplyThenCut(""))
			p.get(p.use(&http.Transport{TLSClientConfig: w.ClientTLS()}), w.URL())
		},
		"a cut within the head": func(p *performance) {
			w := httptestutil.NewWireWith(p, httptestutil.WireOptions{CA: httptestutil.NewCA(p)}, httptestutil.ReplyThenCut("HTTP/1.1 200 OK\r\nA: "))
			p.get(p.use(&http.Transport{TLSClientConfig: w.ClientTLS()}), w.URL())
		},
		"a cut within the body": func(p *performance) {
			w := httptestutil.NewWireWith(p, httptestutil.WireOptions{CA: httptestutil.NewCA(p)},
				httptestutil.ReplyThenCut("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"))
			p.get(p.use(&http.Transport{TLSClientConfig: w.ClientTLS()}), w.URL())
		},
		"a cut body without a length": func(p *performance) {
			w := httptestutil.NewWireWith(p, httptestutil.WireOptions{CA: httptestutil.NewCA(p)},
				httptestutil.ReplyThenCut("HTTP/1.1 200 OK\r\n\r\nhello"))
			p.get(p.use(&http.Transport{TLSClientConfig: w.ClientTLS()}), w.URL())
		},
		"a reset": func(p *performance) {
			w := httptestutil.NewWireWith(p, httptestutil.WireOptions{CA: httptestutil.NewCA(p)}, httptestutil.ReplyThenReset(""))
			p.get(p.use(&http.Transport{TLSClientConfig: w.ClientTLS()}), w.URL())
		},
	})
}

func serving13(server *tls.Config) func(*performance) {
	return func(p *performance) {
		ca := httptestutil.NewCA(p)
		server := server.Clone()
		server.MinVersion = tls.VersionTLS13
		o := httptestutil.NewOrigin(p, httptestutil.OriginOptions{Handler: saying, CA: ca, TLS: server})
		p.get(p.use(&http.Transport{TLSClientConfig: trusting(ca)}), o.URL())
	}
}

func secure(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	u.Scheme = "https"
	return strings.TrimSuffix(u.String(), "/")
}

package peerpool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/http1"
	"github.com/peerpool/peerpool/internal/tlsid"
)

// baseTLS returns a copy of the Transport's TLS configuration for a server of that name.
func (t *Transport) baseTLS(serverName string) *tls.Config {
	cfg := &tls.Config{}
	if t.TLSClientConfig != nil {
		cfg = t.TLSClientConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = ascii.ToLower(serverName)
	}
	return cfg
}

// secure decides about TLS towards the target: the configuration, and what of it is in the identity.
func (r *route) secure(u *url.URL, id *Identity) error {
	if u.Scheme != "https" {
		return nil
	}
	if r.dialer == tlsDialer && r.via == nil {
		return r.peer.checkForeignTLS()
	}
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return err
	}
	cfg, o := r.t.baseTLS(host), r.peer
	cfg.NextProtos = r.offer(cfg.NextProtos)
	if o.ServerName != "" {
		cfg.ServerName = o.ServerName
	}
	if o.RootCAs != nil {
		cfg.RootCAs = o.RootCAs
	}
	if c := o.ClientCertificate; c != nil {
		cfg.Certificates, cfg.GetClientCertificate = []tls.Certificate{*c}, nil
	}
	cfg.InsecureSkipVerify = cfg.InsecureSkipVerify || o.SkipVerify
	id.tls = tlsid.Of(cfg, r.t.TLSClientConfig)
	id.serverName, id.alternativeName = cfg.ServerName, o.AlternativeName
	otherwise := !o.SkipVerify && (o.SkipHostnameVerify || o.AlternativeName != "")
	id.skipVerify, id.skipHostname = cfg.InsecureSkipVerify && !otherwise, o.SkipHostnameVerify
	if len(cfg.Certificates) > 0 {
		id.certificate = tlsid.Certificate(&cfg.Certificates[0])
	}
	if otherwise {
		verifyOtherwise(cfg, o)
	}
	r.tls = cfg
	return nil
}

// checkForeignTLS refuses options that a custom TLS dialer would silently ignore.
func (o *PeerOptions) checkForeignTLS() error {
	switch {
	case o.ServerName != "":
		return optionError("ServerName", "has no effect on a Transport with DialTLSContext or DialTLS")
	case o.AlternativeName != "":
		return optionError("AlternativeName", "has no effect on a Transport with DialTLSContext or DialTLS")
	case o.SkipVerify || o.SkipHostnameVerify:
		return optionError("SkipVerify", "has no effect on a Transport with DialTLSContext or DialTLS")
	case o.RootCAs != nil:
		return optionError("RootCAs", "has no effect on a Transport with DialTLSContext or DialTLS")
	case o.ClientCertificate != nil:
		return optionError("ClientCertificate", "has no effect on a Transport with DialTLSContext or DialTLS")
	}
	return nil
}

// verifyOtherwise replaces the verification of crypto/tls by one that accepts any name, or one more. It
// is done in VerifyConnection, which unlike VerifyPeerCertificate is called on resumed sessions too. The
// user's own functions are called with what has been verified, as if crypto/tls had done it.
func verifyOtherwise(cfg *tls.Config, o *PeerOptions) {
	names := []string{cfg.ServerName, o.AlternativeName}
	if o.SkipHostnameVerify {
		names = []string{""} // x509 checks no name then
	}
	roots, now, first, then := cfg.RootCAs, cfg.Time, cfg.VerifyPeerCertificate, cfg.VerifyConnection
	cfg.InsecureSkipVerify, cfg.VerifyPeerCertificate = true, nil
	cfg.VerifyConnection = func(state tls.ConnectionState) (err error) {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		if now != nil {
			opts.CurrentTime = now()
		}
		state.VerifiedChains, err = verifyChain(state.PeerCertificates, opts, names)
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		if first != nil {
			err = first(rawChain(state.PeerCertificates), state.VerifiedChains)
		}
		if err == nil && then != nil {
			err = then(state)
		}
		return err
	}
}

func rawChain(chain []*x509.Certificate) [][]byte {
	raw := make([][]byte, len(chain))
	for i, c := range chain {
		raw[i] = c.Raw
	}
	return raw
}

// verifyChain verifies a chain for any of the names. The error is that of the first.
func verifyChain(chain []*x509.Certificate, opts x509.VerifyOptions, names []string) ([][]*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("peerpool: the server presented no certificate")
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	var first error
	for _, name := range names {
		opts.DNSName = name
		verified, err := chain[0].Verify(opts)
		if err == nil {
			return verified, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// sessionCache returns the part of the session cache that belongs to prefix alone: crypto/tls itself tells
// sessions apart by the server's name only, and would resume one as somebody else. There is none where
// resuming would pass a verification by, nor, unless the user has set one, where it would present a certificate
// that GetClientCertificate no longer returns.
func (r *route) sessionCache(cfg *tls.Config, prefix string) tls.ClientSessionCache {
	if cfg.VerifyPeerCertificate != nil {
		return nil
	}
	cache := cfg.ClientSessionCache
	if cache == nil && cfg.GetClientCertificate != nil {
		return nil
	}
	if cache == nil {
		cache = r.t.core.sessions
	}
	return &sessions{cache: cache, prefix: prefix, route: r}
}

// sessions are the TLS sessions of one identity.
type sessions struct {
	cache  tls.ClientSessionCache
	prefix string
	route  *route
}

func (s *sessions) Get(key string) (*tls.ClientSessionState, bool) {
	if s.route.learned.looks.Load() {
		return nil, false
	}
	return s.cache.Get(s.prefix + key)
}

// Put keeps no session whose certificate may be meant for one request: resuming it would present that to others.
func (s *sessions) Put(key string, state *tls.ClientSessionState) {
	if s.route.learned.looks.Load() {
		state = nil // which forgets the one before it
	}
	s.cache.Put(s.prefix+key, state)
}

// errHandshakeTimeout is what net/http says.
type errHandshakeTimeout struct{}

func (errHandshakeTimeout) Error() string   { return "net/http: TLS handshake timeout" }
func (errHandshakeTimeout) Timeout() bool   { return true }
func (errHandshakeTimeout) Temporary() bool { return true }

// tlsConn is a [tls.Conn], or a connection that stands in for one.
type tlsConn interface {
	net.Conn
	HandshakeContext(context.Context) error
	ConnectionState() tls.ConnectionState
}

// handshake makes a TLS connection over nc, which it closes if it fails.
func (r *route) handshake(ctx context.Context, nc net.Conn, cfg *tls.Config) (net.Conn, error) {
	tc := tls.Client(http1.UnderTLS(nc), cfg)
	if err := r.finishHandshake(ctx, tc); err != nil {
		return nil, err
	}
	return tc, nil
}

// finishHandshake completes the handshake of a connection that we, or a custom dialer, have made. It closes one whose
// handshake fails.
func (r *route) finishHandshake(ctx context.Context, tc tlsConn) error {
	if d := r.t.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, errHandshakeTimeout{})
		defer cancel()
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	watched, ended := watchLookups(ctx)
	err := tc.HandshakeContext(watched)
	if ended() {
		r.learned.looks.Store(true)
	}
	if err != nil && context.Cause(ctx) == (errHandshakeTimeout{}) {
		err = errHandshakeTimeout{}
	}
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(record.RecordHeader[:]) == "HTTP/" {
		err = http.ErrSchemeMismatch
	}
	if trace != nil && trace.TLSHandshakeDone != nil {
		state := tls.ConnectionState{}
		if err == nil {
			state = tc.ConnectionState()
		}
		trace.TLSHandshakeDone(state, err)
	}
	if err != nil {
		abandonTLS(tc)
	}
	return err
}

// abandonTLS closes the socket below without a word, which can block.
func abandonTLS(tc tlsConn) {
	if known, ok := tc.(*tls.Conn); ok {
		known.NetConn().Close()
		return
	}
	tc.Close()
}

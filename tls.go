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

// baseTLS returns a copy of the Transport's TLS configuration for a server with the given name.
func (t *Transport) baseTLS(serverName string) *tls.Config {
	cfg := t.TLSClientConfig.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	if cfg.ServerName == "" {
		cfg.ServerName = ascii.ToLower(serverName)
	}
	return cfg
}

// security holds the TLS configuration for a target, and what the identity holds of it. It is zero without TLS, and if a
// custom dialer does TLS.
type security struct {
	config          *tls.Config
	id              tlsid.ID
	serverName      string
	alternativeName string
	skipVerify      bool
	skipHostname    bool
	certificate     [32]byte
}

// secure returns the security of a target.
func (t *Transport) secure(u *url.URL, to destination, p http.Protocols) (security, error) {
	o := to.key.peer.options()
	if u.Scheme != "https" {
		return security{}, nil
	}
	if to.key.dialer == tlsDialer && to.via == nil {
		return security{}, o.checkForeignTLS()
	}
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return security{}, err
	}
	cfg := t.baseTLS(host)
	cfg.NextProtos = t.offerTo(to, cfg.NextProtos, p)
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
	otherwise := !o.SkipVerify && (o.SkipHostnameVerify || o.AlternativeName != "")
	s := security{
		config:          cfg,
		id:              tlsid.Of(cfg, t.TLSClientConfig),
		serverName:      cfg.ServerName,
		alternativeName: o.AlternativeName,
		skipVerify:      cfg.InsecureSkipVerify && !otherwise,
		skipHostname:    o.SkipHostnameVerify,
	}
	if len(cfg.Certificates) > 0 {
		s.certificate = tlsid.Certificate(&cfg.Certificates[0])
	}
	if otherwise {
		verifyOtherwise(cfg, o)
	}
	return s, nil
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

// verifyOtherwise replaces the verification of crypto/tls by one that accepts any name, or also AlternativeName. It does so
// in VerifyConnection, because crypto/tls calls that for resumed sessions too, unlike VerifyPeerCertificate. It calls the
// user's own functions with the verified chains, as if crypto/tls had verified them.
func verifyOtherwise(cfg *tls.Config, o *PeerOptions) {
	names := []string{cfg.ServerName, o.AlternativeName}
	if o.SkipHostnameVerify {
		names = []string{""} // with an empty name, x509 checks no name
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

// verifyChain verifies a chain for any one of the names. The error is that of the first name.
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

// errHandshakeTimeout has the text of net/http's error.
type errHandshakeTimeout struct{}

func (errHandshakeTimeout) Error() string   { return "net/http: TLS handshake timeout" }
func (errHandshakeTimeout) Timeout() bool   { return true }
func (errHandshakeTimeout) Temporary() bool { return true }

// ErrorType returns the value that OpenTelemetry's instrumentations of net/http use as error.type.
func (errHandshakeTimeout) ErrorType() string { return string(errorTimeout) }

// tlsConn is a [tls.Conn], or a connection that stands in for one.
type tlsConn interface {
	net.Conn
	HandshakeContext(context.Context) error
	ConnectionState() tls.ConnectionState
}

// handshake makes a TLS connection over nc. If the handshake fails, it closes nc.
func (r *route) handshake(ctx context.Context, nc net.Conn, cfg *tls.Config) (net.Conn, error) {
	tc := tls.Client(http1.UnderTLS(nc), cfg)
	if err := r.finishHandshake(ctx, tc, cfg); err != nil {
		return nil, err
	}
	return tc, nil
}

// finishHandshake completes the handshake of a connection that we, or a custom dialer, have made. If the handshake fails, it
// closes the connection. cfg is nil if a custom dialer has made the connection.
func (r *route) finishHandshake(ctx context.Context, tc tlsConn, cfg *tls.Config) error {
	if d := r.tlsHandshakeTimeout(); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, errHandshakeTimeout{})
		defer cancel()
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := r.runHandshake(ctx, tc, cfg)
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

// runHandshake runs a handshake, and notes whether it has looked something up in its context.
func (r *route) runHandshake(ctx context.Context, tc tlsConn, cfg *tls.Config) error {
	if !mayLookUp(cfg) {
		return tc.HandshakeContext(ctx)
	}
	watched, ended := watchLookups(ctx)
	err := tc.HandshakeContext(watched)
	if ended() {
		r.learned.looked()
	}
	return err
}

// abandonTLS closes the underlying socket without a close_notify, because writing it can block.
func abandonTLS(tc tlsConn) {
	if known, ok := tc.(*tls.Conn); ok {
		known.NetConn().Close()
		return
	}
	tc.Close()
}

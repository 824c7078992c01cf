package httptestutil

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// listen returns a new listener on loopback, or on a socket in a new directory.
func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	address := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
	switch {
	case network == "unix":
		// The path of t.TempDir holds the test's name, and a socket's path
		// may have no more than about a hundred bytes.
		dir, err := os.MkdirTemp("", "origin")
		if err != nil {
			t.Fatalf("httptestutil: making a directory for a socket: %v", err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		address = filepath.Join(dir, "s")
	case address == "":
		t.Fatalf("httptestutil: network %q is none of tcp4, tcp6 and unix", network)
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatalf("httptestutil: listening: %v", err)
	}
	return ln
}

// serverTLS completes the configuration of a server that speaks TLS if either
// argument is set: a clone of cfg with a certificate of ca, unless cfg brings
// one, and with ca as the authority for client certificates, unless cfg names
// others. It returns the authority too: ca, a new one if there is need of it,
// or nil if there is none.
func serverTLS(t testing.TB, ca *CA, cfg *tls.Config) (*tls.Config, *CA) {
	t.Helper()
	if ca == nil && cfg == nil {
		return nil, nil
	}
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg = cfg.Clone()
	ownCert := len(cfg.Certificates) > 0 || cfg.GetCertificate != nil || cfg.GetConfigForClient != nil
	if ca == nil && !ownCert {
		ca = NewCA(t)
	}
	if !ownCert {
		cfg.Certificates = []tls.Certificate{ca.Server()}
	}
	if cfg.ClientCAs == nil && ca != nil {
		cfg.ClientCAs = ca.Pool()
	}
	return cfg, ca
}

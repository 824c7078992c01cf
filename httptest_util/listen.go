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

// serverTLS returns the configuration of a server that speaks TLS, or nil if
// neither argument is set. It is a clone of cfg. If cfg has no certificate,
// ca issues one. If cfg has no ClientCAs, ca is the authority for client
// certificates. serverTLS also returns the authority: ca, a new one if one is
// needed, or nil.
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

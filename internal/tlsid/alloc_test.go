//go:build !race

package tlsid

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
)

// TestAFingerprintAllocatesNothing matters to a client that opens a connection for each request: it makes a fingerprint each
// time.
func TestAFingerprintAllocatesNothing(t *testing.T) {
	cfg := &tls.Config{
		ServerName: "a.name.as.long.as.names.of.servers.are.example", NextProtos: []string{"h2", "http/1.1"},
		RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13,
	}
	if allocs := testing.AllocsPerRun(1000, func() { Of(cfg, nil) }); allocs > 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"path/filepath"
	"testing"
)

// handshake connects a client to a server, both with the authority's certificates, and returns how the server sees
// the client.
func handshake(t *testing.T, ca *CA, client tls.Certificate) (*x509.Certificate, error) {
	t.Helper()
	serving, err := ca.Server()
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	ours := tls.Client(near, &tls.Config{
		RootCAs: ca.Pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{client}, MaxVersion: tls.VersionTLS12,
	})
	theirs := tls.Server(far, &tls.Config{
		Certificates: []tls.Certificate{serving}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	})
	done := make(chan error, 1)
	go func() { // ends with the handshake, or with near
		err := theirs.Handshake()
		far.Close()
		done <- err
	}()
	err = errors.Join(ours.Handshake(), near.Close(), <-done)
	if err != nil {
		return nil, err
	}
	return theirs.ConnectionState().PeerCertificates[0], nil
}

func TestAClientOfTheAuthorityIsKnownByName(t *testing.T) {
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Client("gopher", "burrow")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := handshake(t, ca, client)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Subject.CommonName != "gopher" || len(seen.Subject.Organization) != 1 || seen.Subject.Organization[0] != "burrow" {
		t.Errorf("the server knows %v", seen.Subject)
	}
}

func TestAClientOfAnotherAuthorityIsRefused(t *testing.T) {
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	client, err := other.Client("gopher")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, ca, client); err == nil {
		t.Error("it was accepted")
	}
}

func TestWhatIsWrittenIsReadByTheTLSPackage(t *testing.T) {
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Server()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	if err := Write(cert, certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	read, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil || !read.Leaf.Equal(cert.Leaf) {
		t.Errorf("%v", err)
	}
}

// Package testkit holds helpers that tests of several packages share and that use a Transport. Only tests import it.
package testkit

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// FreeAddr returns an address on loopback on which nothing listens. No system gives its port to a socket that asks for any
// port, so the port is still free when a server that is another program begins to listen.
func FreeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		if ln, err := net.Listen("tcp4", fmt.Sprint("127.0.0.1:", 11_000+rand.IntN(20_000))); err == nil {
			ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no port of 127.0.0.1 is free")
	return ""
}

// ConfigFile writes a configuration, indented for reading, to a place where any user may read it.
func ConfigFile(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the server may give up its privileges
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(strings.TrimSpace(text)+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// CertificateFile writes a server certificate and its key into a folder, for a server that is another program.
func CertificateFile(t testing.TB, dir string, ca *httptestutil.CA) (path string) {
	t.Helper()
	cert := ca.Server()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range cert.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	path = filepath.Join(dir, "server.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// RunServer runs a server until the test ends, and with it the processes that the server starts. It returns when the server
// listens on addr.
func RunServer(t *testing.T, addr string, program string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	ownGroup(cmd)
	// A worker that outlives the server holds its output open. Wait does not wait for that.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	var exit error
	go func() { // this goroutine ends with the server, which the end of the test stops
		defer close(exited)
		exit = cmd.Wait()
	}()
	t.Cleanup(func() {
		stopServer(t, cmd, exited, httptestutil.Bound)
		if t.Failed() {
			t.Logf("%s said:\n%s", program, &output)
		}
	})
	giveUp := time.NewTimer(httptestutil.Bound)
	defer giveUp.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-exited:
			t.Fatalf("%s ended: %v\n%s", program, exit, &output)
		case <-giveUp.C:
			t.Fatalf("%s does not listen on %s", program, addr)
		case <-again.C:
			if nc, err := net.Dial("tcp", addr); err == nil {
				nc.Close()
				return
			}
		}
	}
}

// stopServer asks a server to end, and kills it and its children if it has not ended within the given time.
func stopServer(t *testing.T, cmd *exec.Cmd, exited <-chan struct{}, within time.Duration) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // this fails only if the server has ended already
	giveUp := time.NewTimer(within)
	defer giveUp.Stop()
	select {
	case <-exited:
	case <-giveUp.C:
		t.Logf("%s has not ended %v after SIGTERM, and is killed", cmd.Path, within)
		killGroup(cmd)
		<-exited
	}
}

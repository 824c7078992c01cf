//go:build !race

package testkit

import (
	"net"
	"testing"
)

// Frugal starts a server that answers every request on one connection, without allocating memory for it.
func Frugal(t testing.TB, response string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf, reply := make([]byte, 4096), []byte(response)
		for { // the client's requests fit into one read
			if _, err := nc.Read(buf); err != nil {
				return
			}
			if _, err := nc.Write(reply); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return "http://" + ln.Addr().String()
}

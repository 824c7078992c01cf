package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// cappedStreams is what many servers allow at once on one connection.
const cappedStreams = 100

// serveHTTP2 is net/http's own server, which also speaks HTTP/1.1 to a client that cannot do better.
// streams bounds the streams of a connection; 0: as net/http has it.
func serveHTTP2(ln net.Listener, cert tls.Certificate, streams int) {
	server := &http.Server{
		Handler:   http.HandlerFunc(answerHTTP2),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: streams},
		ErrorLog:  log.New(io.Discard, "", 0), // clients leave without a word at the end of a comparison
	}
	server.ServeTLS(ln, "", "")
}

func answerHTTP2(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Server", "bench")
	if size, large := strings.CutPrefix(r.URL.Path, largePrefix); large {
		header.Set("Content-Length", size)
		n, _ := strconv.ParseInt(size, 10, 64)
		io.CopyN(w, zeros{}, n)
		return
	}
	if r.ContentLength != 0 {
		io.Copy(io.Discard, r.Body)
	}
	io.WriteString(w, "hello")
}

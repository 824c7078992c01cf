package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// endpoint says where the server process listens. Each address is host:port.
type endpoint struct {
	Plain string // answers HTTP/1.1
	TLS   string // the same over TLS 1.3
	Any   string // the same as Plain on every address of 127.0.0.0/8
	Sink  string // reads and forgets
	H2    string // net/http's server with HTTP/2
	H2Cap string // the same with at most 100 streams on a connection
	Root  []byte // the certificate to trust
}

// serverMain is the server process. It says where it listens, and ends when its input does.
func serverMain(in io.Reader, out io.Writer) error {
	root, cert, err := newAuthority()
	if err != nil {
		return err
	}
	at := endpoint{Root: root}
	secure := func(ln net.Listener) net.Listener {
		return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	}
	for _, l := range []struct {
		addr  string
		said  *string
		serve func(net.Listener)
	}{
		{"127.0.0.1:0", &at.Plain, func(ln net.Listener) { accept(ln, answerAll) }},
		{"127.0.0.1:0", &at.TLS, func(ln net.Listener) { accept(secure(ln), answerAll) }},
		{"0.0.0.0:0", &at.Any, func(ln net.Listener) { accept(ln, answerLoopback) }},
		{"127.0.0.1:0", &at.Sink, func(ln net.Listener) { accept(ln, swallow) }},
		{"127.0.0.1:0", &at.H2, func(ln net.Listener) { serveHTTP2(ln, cert, 0) }},
		{"127.0.0.1:0", &at.H2Cap, func(ln net.Listener) { serveHTTP2(ln, cert, cappedStreams) }},
	} {
		ln, err := net.Listen("tcp4", l.addr)
		if err != nil {
			return err
		}
		*l.said = ln.Addr().String()
		go l.serve(ln)
	}
	if err := json.NewEncoder(out).Encode(at); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// connections is how many connections the server process has accepted.
var connections atomic.Int64

// accept serves each connection on a goroutine that ends with it. The process's end ends all of them.
func accept(ln net.Listener, serve func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: server:", err)
			return
		}
		connections.Add(1)
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

// answerLoopback answers only those who came by loopback, though it listens everywhere: nothing else listens on
// all of 127.0.0.0/8.
func answerLoopback(c net.Conn) {
	if at, ok := c.LocalAddr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
		answerAll(c)
	}
}

func swallow(c net.Conn) {
	buf := make([]byte, 256<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

var headEnd = []byte("\r\n\r\n")

// maxHead is more than any head of a request here has, in bytes.
const maxHead = 4 << 10

// answerAll answers requests until the peer or "Connection: close" ends that, or a head is longer than maxHead. It knows no
// more of HTTP than the candidates send, so that as much as possible of the machine is theirs.
func answerAll(c net.Conn) {
	buf := make([]byte, maxHead)
	for have := 0; ; {
		end := bytes.Index(buf[:have], headEnd)
		if end < 0 {
			if have == len(buf) {
				return
			}
			n, err := c.Read(buf[have:])
			if err != nil {
				return
			}
			have += n
			continue
		}
		head, size := buf[:end], end+len(headEnd)
		last, reply := string(field(head, "connection")) == "close", replyTo(head)
		body, _ := strconv.Atoi(string(field(head, "content-length"))) // 0 if there is none
		if body > have-size {
			if err := skip(c, body-(have-size)); err != nil {
				return
			}
			body = have - size
		}
		if err := reply(c); err != nil || last {
			return
		}
		have = copy(buf, buf[size+body:have])
	}
}

// field returns the value of a field, or nil if the head has none of that name. The head may spell the name in either case,
// and clients written in Rust spell it in lower case.
func field(head []byte, name string) []byte {
	for line := range bytes.Lines(head) {
		if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
	}
	return nil
}

func skip(c net.Conn, n int) error {
	buf := make([]byte, min(n, 256<<10))
	for n > 0 {
		got, err := c.Read(buf[:min(n, len(buf))])
		n -= got
		if err != nil {
			return err
		}
	}
	return nil
}

// The paths of the small answers say how many header fields those have.
const (
	fewFields   = "/4"
	manyFields  = "/12"
	largePrefix = "/large/" // and the bytes of the body

	middlePath   = "/16k"      // a body of middleSize
	latePrefix   = "/late/"    // and the milliseconds after which the answer comes, which is that of fewFields
	acceptedPath = "/accepted" // how many connections the server has accepted
)

// middleSize is the size in bytes of a body that is neither small nor large.
const middleSize = 16 << 10

var answers = map[string][]byte{
	fewFields: []byte(answerStart + "\r\nhello"),
	manyFields: []byte(answerStart + "Cache-Control: max-age=3600, public\r\nVary: Accept-Encoding\r\n" +
		"ETag: \"5f3c9a1b-264\"\r\nLast-Modified: Sat, 21 Nov 2026 00:00:00 GMT\r\nAge: 17\r\n" +
		"X-Request-Id: 0123456789abcdef\r\nX-Content-Type-Options: nosniff\r\n" +
		"Strict-Transport-Security: max-age=63072000\r\n\r\nhello"),
	middlePath: append([]byte(largeHead(middleSize)), make([]byte, middleSize)...),
}

const answerStart = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nServer: bench\r\n" +
	"Date: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Length: 5\r\n"

// replyTo returns what writes the answer to a head.
func replyTo(head []byte) func(net.Conn) error {
	_, rest, _ := bytes.Cut(head, []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	if answer, ok := answers[string(path)]; ok {
		return func(c net.Conn) error {
			_, err := c.Write(answer)
			return err
		}
	}
	if late, ok := bytes.CutPrefix(path, []byte(latePrefix)); ok {
		wait, _ := strconv.Atoi(string(late))
		return func(c net.Conn) error {
			time.Sleep(time.Duration(wait) * time.Millisecond)
			_, err := c.Write(answers[fewFields])
			return err
		}
	}
	if string(path) == acceptedPath {
		return func(c net.Conn) error {
			n := strconv.FormatInt(connections.Load(), 10)
			_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(n), n)
			return err
		}
	}
	size, err := strconv.ParseInt(strings.TrimPrefix(string(path), largePrefix), 10, 64)
	return func(c net.Conn) error {
		if err != nil {
			_, err := io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			return err
		}
		return writeLarge(c, size)
	}
}

func writeLarge(c net.Conn, size int64) error {
	_, err := io.WriteString(c, largeHead(size))
	chunk := make([]byte, 256<<10)
	for err == nil && size > 0 {
		var n int
		n, err = c.Write(chunk[:min(size, int64(len(chunk)))])
		size -= int64(n)
	}
	return err
}

// largeHead is the head of a large body's response.
func largeHead(size int64) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nServer: bench\r\n" +
		"Date: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Length: " + strconv.FormatInt(size, 10) + "\r\n\r\n"
}

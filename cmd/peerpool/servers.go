package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

// manners are how a server treats its connections. The zero value is a good one that closes none.
type manners struct {
	tls *tls.Config // nil: no TLS

	// closeAfter is how long a connection may idle before the server closes it; 0: for ever.
	closeAfter time.Duration

	// restartEvery has all connections die when so many requests have come, the one just received
	// included, as the kernel closes them when a process dies. The port stays open, as under a supervisor
	// that holds it for the next process. 0: never.
	restartEvery int64

	// repeatEvery sends every so-manieth response twice in a row; 0: none.
	repeatEvery int64
}

// server answers each request with the last element of its path, so that an answer tells its request. It
// listens on the loopback interface.
type server struct {
	manners
	ln net.Listener

	opened, requests atomic.Int64 // connections, requests

	// mu guards closed and conns, with the last response that each of them was sent. Connections are written
	// to and closed under it, neither of which blocks here: there is always room for one response more.
	mu     sync.Mutex
	conns  map[net.Conn]string
	closed bool

	serving sync.WaitGroup // the accepting goroutine, and one for each connection
}

// startServer starts a server that runs until close.
func startServer(m manners) (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no server could be started: %w", err)
	}
	s := &server{manners: m, ln: ln, conns: make(map[net.Conn]string)}
	s.serving.Go(s.accept)
	return s, nil
}

// url returns the server's address as a URL without a path.
func (s *server) url() string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + s.ln.Addr().String()
}

// close ends the server and waits until nothing of it runs.
func (s *server) close() {
	s.ln.Close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.closeConns()
	s.serving.Wait()
}

func (s *server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// babble sends every connection its last response again. It is for a server without TLS and a moment when no
// request is under way: what crosses a request on the wire cannot be told from its response by any client.
func (s *server) babble() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, last := range s.conns {
		if last != "" {
			_, _ = io.WriteString(c, last) // a connection that is closed meanwhile hears nothing
		}
	}
}

func (s *server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		if s.enter(c) {
			s.serving.Go(func() {
				defer s.leave(c)
				s.serve(c)
			})
		}
	}
}

// enter takes a connection in, unless the server is closed.
func (s *server) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	s.opened.Add(1)
	s.conns[c] = ""
	return true
}

func (s *server) leave(c net.Conn) {
	c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// serve answers the requests of one connection until it ends, by whoever.
func (s *server) serve(socket net.Conn) {
	c := socket
	if s.tls != nil {
		c = tls.Server(socket, s.tls)
		defer c.Close()
	}
	in := bufio.NewReader(c)
	for s.awaitRequest(c, in) {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		n := s.requests.Add(1)
		if s.restartEvery > 0 && n%s.restartEvery == 0 {
			s.closeConns()
			return
		}
		response := answer(req)
		s.remember(socket, response)
		if _, err := io.WriteString(c, s.mumble(n, response)); err != nil {
			return
		}
	}
}

// awaitRequest waits for the first byte of a request, and says whether it came in time.
func (s *server) awaitRequest(c net.Conn, in *bufio.Reader) bool {
	if s.closeAfter > 0 {
		_ = c.SetReadDeadline(time.Now().Add(s.closeAfter)) // fails when closed, and so does the read
	}
	_, err := in.Peek(1)
	return err == nil
}

// answer is the response to a request.
func answer(req *http.Request) string {
	nonce := path.Base(req.URL.Path)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(nonce), nonce)
}

func (s *server) remember(c net.Conn, response string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.conns[c]; open {
		s.conns[c] = response
	}
}

// mumble returns the response to the n-th request, twice if it is its turn.
func (s *server) mumble(n int64, response string) string {
	if s.repeatEvery > 0 && n%s.repeatEvery == 0 {
		return response + response
	}
	return response
}

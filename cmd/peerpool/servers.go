package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// manners are how a server treats its connections. The zero value is a good one that closes none.
type manners struct {
	tls *tls.Config // nil: no TLS

	// closeAfter is how long a connection may idle before the server closes it; 0: for ever.
	closeAfter time.Duration

	// restartEvery is after how many requests all connections die, as the kernel closes them when a process dies. The
	// port stays open, as under a supervisor that holds it for the next process. 0: never.
	restartEvery int64

	// restartWith is how many requests a dying process has received and not answered: it answers none of the last
	// ones before a restart, and dies when all of them have come. So many callers must be at work. 0: one.
	restartWith int64

	restarts int64 // how often that happens; 0: no limit

	addresses int // of the host, one server on each; 0: one

	// repeatEvery sends every so-manieth response twice in a row; 0: none.
	repeatEvery int64
}

// server answers each request with the last element of its path, so that an answer tells its request. It
// listens on the loopback interface.
type server struct {
	manners
	lns []net.Listener // one for each address, all with the same port

	opened, requests atomic.Int64   // connections, requests
	served           []atomic.Int64 // requests by address

	// mu guards all that follows. Connections are written to and closed under it, neither of which blocks here:
	// there is always room for one response more.
	mu     sync.Mutex
	conns  map[net.Conn]*serverConn
	closed bool
	held   int64         // requests that wait for a restart
	died   int64         // restarts so far
	lost   int64         // POSTs that were held at a restart
	fate   chan struct{} // closed at the next restart

	serving sync.WaitGroup // the accepting goroutines, and one for each connection
}

// serverConn is a connection to an address of a server.
type serverConn struct {
	address int
	last    string // response; "" before the first
}

// demoHost is the name of servers with several addresses.
const demoHost = "three.test"

// startServer starts a server that runs until close.
func startServer(m manners) (*server, error) {
	s := &server{manners: m, conns: make(map[net.Conn]*serverConn), fate: make(chan struct{})}
	s.served = make([]atomic.Int64, max(1, m.addresses))
	port := "0"
	for i := range s.served {
		ln, err := net.Listen("tcp", net.JoinHostPort(addressOf(i), port))
		if err != nil {
			for _, opened := range s.lns {
				opened.Close()
			}
			return nil, fmt.Errorf("no server could be started: %w", err)
		}
		s.lns = append(s.lns, ln)
		_, port, _ = net.SplitHostPort(ln.Addr().String()) // it has the form that net gives it
	}
	for i, ln := range s.lns {
		s.serving.Go(func() { s.accept(i, ln) })
	}
	return s, nil
}

// hasAddresses reports whether the system has so many of these addresses. All systems have one, Linux has all.
func hasAddresses(n int) bool {
	for i := range n {
		ln, err := net.Listen("tcp", net.JoinHostPort(addressOf(i), "0"))
		if err != nil {
			return false
		}
		ln.Close()
	}
	return true
}

// addressOf returns the i-th address of servers.
func addressOf(i int) string { return fmt.Sprintf("127.0.0.%d", i+1) }

// url returns the server's address as a URL without a path.
func (s *server) url() string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	addr := s.lns[0].Addr().String()
	if len(s.lns) > 1 {
		_, port, _ := net.SplitHostPort(addr)
		addr = net.JoinHostPort(demoHost, port)
	}
	return scheme + "://" + addr
}

// close ends the server and waits until nothing of it runs.
func (s *server) close() {
	for _, ln := range s.lns {
		ln.Close()
	}
	s.mu.Lock()
	s.closed = true
	s.die()
	s.mu.Unlock()
	s.serving.Wait()
}

// die closes all connections. The caller holds mu.
func (s *server) die() {
	for c := range s.conns {
		c.Close()
	}
	close(s.fate)
	s.fate = make(chan struct{})
}

// ledger returns how often the server has died, how many POSTs it had received and not answered then, and how many
// requests each address has had.
func (s *server) ledger() (died, lost int64, served []int64) {
	for i := range s.served {
		served = append(served, s.served[i].Load())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.died, s.lost, served
}

// loseAddress stops what serves the address with the most connections.
func (s *server) loseAddress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := make([]int, len(s.lns))
	for _, sc := range s.conns {
		open[sc.address]++
	}
	busiest := slices.Index(open, slices.Max(open))
	s.lns[busiest].Close()
	for c, sc := range s.conns {
		if sc.address == busiest {
			c.Close()
		}
	}
}

// babble sends every connection its last response again. It is for a server without TLS and a moment when no
// request is under way: what crosses a request on the wire cannot be told from its response by any client.
func (s *server) babble() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, sc := range s.conns {
		if sc.last != "" {
			_, _ = io.WriteString(c, sc.last) // a connection that is closed meanwhile hears nothing
		}
	}
}

// accept takes the connections to one address until its listener is closed.
func (s *server) accept(address int, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		if s.enter(c, address) {
			s.serving.Go(func() {
				defer s.leave(c)
				s.serve(c, address)
			})
		}
	}
}

// enter takes a connection in, unless the server is closed.
func (s *server) enter(c net.Conn, address int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	s.opened.Add(1)
	s.conns[c] = &serverConn{address: address}
	return true
}

func (s *server) leave(c net.Conn) {
	c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// serve answers the requests of one connection until either side ends it.
func (s *server) serve(socket net.Conn, address int) {
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
		s.served[address].Add(1)
		if s.awaitRestart(n, req.Method) {
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

// awaitRestart returns false if the n-th request is to be answered. Else it waits for the restart, and is the restart if
// all others that are to be lost in it wait already.
func (s *server) awaitRestart(n int64, method string) bool {
	with := max(1, s.restartWith)
	if s.restartEvery == 0 || (n-1)%s.restartEvery < s.restartEvery-with {
		return false
	}
	s.mu.Lock()
	if s.closed || s.restarts > 0 && s.died == s.restarts {
		defer s.mu.Unlock()
		return s.closed
	}
	s.held++
	if method == http.MethodPost {
		s.lost++
	}
	fate := s.fate
	if s.held == with {
		s.held = 0
		s.died++
		s.die()
	}
	s.mu.Unlock()
	<-fate
	return true
}

// answer is the response to a request.
func answer(req *http.Request) string {
	nonce := path.Base(req.URL.Path)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(nonce), nonce)
}

func (s *server) remember(c net.Conn, response string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc := s.conns[c]; sc != nil {
		sc.last = response
	}
}

// mumble returns the response to the n-th request, twice if it is its turn.
func (s *server) mumble(n int64, response string) string {
	if s.repeatEvery > 0 && n%s.repeatEvery == 0 {
		return response + response
	}
	return response
}

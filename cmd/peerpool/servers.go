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

// manners say how a server treats its connections. With the zero value, it behaves well and closes none of them.
type manners struct {
	tls *tls.Config // nil: no TLS

	// closeAfter is how long a connection may be idle before the server closes it. Zero means no limit.
	closeAfter time.Duration

	// restartEvery is the number of requests after which the server closes its connections, as the kernel does when a
	// process dies. The port stays open, as under a supervisor that keeps it for the next process. A connection that has
	// carried no request yet waits in the port for the next process, and stays open too. Zero means never.
	restartEvery int64

	// restartWith is the number of requests that the server has received and not answered when it restarts. It holds
	// the last requests before a restart until all of them have arrived, so at least as many callers must be at work.
	// Zero means one.
	restartWith int64

	restarts int64 // how many restarts there are; 0: no limit

	addresses int // of the host; 0: one

	// repeatEvery is n if the server sends every n-th response twice. Zero means that it repeats none.
	repeatEvery int64
}

// server answers each request with the last element of the request's path, so that each answer shows to which request it
// belongs. It listens on the loopback interface.
type server struct {
	manners
	lns []net.Listener // one for each address, all with the same port

	opened, requests atomic.Int64   // connections, requests
	served           []atomic.Int64 // requests by address

	// mu guards the fields below. The server writes to connections and closes them while it holds mu. Neither blocks,
	// because a socket buffer always has room for another response here.
	mu     sync.Mutex
	conns  map[net.Conn]*serverConn
	closed bool
	since  int64         // requests since the last restart
	held   int64         // requests that wait for a restart
	died   int64         // restarts so far
	lost   int64         // POSTs that were held at a restart
	fate   chan struct{} // closed at the next restart

	serving sync.WaitGroup // goroutines that accept, and one for each connection
}

// serverConn is a connection to an address of a server.
type serverConn struct {
	address int
	last    string // response; "" before the first
	held    bool   // its request waits for a restart
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
		_, port, _ = net.SplitHostPort(ln.Addr().String()) // the address of a listener always has a port
	}
	for i, ln := range s.lns {
		s.serving.Go(func() { s.accept(i, ln) })
	}
	return s, nil
}

// hasAddresses reports whether the loopback interface has the first n of these addresses. On Linux it has all of them,
// elsewhere often the first alone.
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
	for c := range s.conns {
		c.Close()
	}
	close(s.fate)
	s.mu.Unlock()
	s.serving.Wait()
}

// die closes the connections that have carried a request. The caller holds mu. Those with a request that waits for the
// restart are the last, so that no caller goes on while a connection is still open.
func (s *server) die() {
	for _, held := range []bool{false, true} {
		for c, sc := range s.conns {
			if sc.held == held && (held || sc.last != "") {
				c.Close()
			}
		}
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

// babble sends the last response of each connection again. Call it for a server without TLS, while no request is under
// way: no client can tell bytes that cross a request on the wire from the response to it.
func (s *server) babble() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, sc := range s.conns {
		if sc.last != "" {
			_, _ = io.WriteString(c, sc.last) // the connection may have been closed
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

// enter adds a connection, unless the server is closed.
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
		if s.awaitRestart(socket, req.Method) {
			return
		}
		response := answer(req)
		s.remember(socket, response)
		if _, err := io.WriteString(c, s.mumble(n, response)); err != nil {
			return
		}
	}
}

// awaitRequest waits for the first byte of a request, and reports whether it came in time.
func (s *server) awaitRequest(c net.Conn, in *bufio.Reader) bool {
	if s.closeAfter > 0 {
		_ = c.SetReadDeadline(time.Now().Add(s.closeAfter)) // if it fails, so does the read
	}
	_, err := in.Peek(1)
	return err == nil
}

// awaitRestart returns false if the server is to answer a request. Otherwise it waits for the restart and returns true. The
// last request that arrives before the restart triggers it. If several are lost, each is the second or a later one on its
// connection, because clients do not send a request again if a new connection breaks.
func (s *server) awaitRestart(c net.Conn, method string) bool {
	if s.restartEvery == 0 {
		return false
	}
	s.mu.Lock()
	s.since++
	sc := s.conns[c]
	switch {
	case s.closed || sc == nil:
		s.mu.Unlock()
		return true
	case s.since <= s.restartEvery-max(1, s.restartWith), s.restarts > 0 && s.died == s.restarts, s.restartWith > 1 && sc.last == "":
		s.mu.Unlock()
		return false
	}
	s.held++
	sc.held = true
	if method == http.MethodPost {
		s.lost++
	}
	fate := s.fate
	if s.held >= s.restartWith {
		s.held, s.since = 0, 0
		s.died++
		s.die()
	}
	s.mu.Unlock()
	<-fate
	return true
}

// answer returns the response to a request.
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

// mumble returns the response to the n-th request, twice if repeatEvery says so.
func (s *server) mumble(n int64, response string) string {
	if s.repeatEvery > 0 && n%s.repeatEvery == 0 {
		return response + response
	}
	return response
}

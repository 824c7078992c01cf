package soak

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// http1Server is an HTTP/1.1 server that misbehaves.
type http1Server struct {
	ledger *ledger
	rude   bool // it sends unexpected data: bytes behind an answer, and farewells
	ln     net.Listener
	tls    *tls.Config // nil: none
	wg     sync.WaitGroup

	mu    sync.Mutex // guards conns; nothing is called under it
	conns map[*http1Conn]bool
}

func (s *http1Server) serve() {
	defer s.wg.Done()
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		c := &http1Conn{server: s, raw: nc.(*net.TCPConn), nc: nc, random: rand.New(rand.NewPCG(rand.Uint64(), 1))}
		if s.tls != nil {
			c.nc = tls.Server(nc, s.tls)
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(c.run)
	}
}

// restart ends the connections that have served a request, as when a server is replaced and its successor takes over the
// listener.
func (s *http1Server) restart() {
	s.ledger.fault("restart")
	for _, c := range s.open() {
		c.kill()
	}
}

func (s *http1Server) open() []*http1Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*http1Conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

func (s *http1Server) close() {
	s.ln.Close()
	for _, c := range s.open() {
		c.raw.Close()
	}
	s.wg.Wait()
}

// http1Conn is a connection of an http1Server. Its goroutine ends with the connection.
type http1Conn struct {
	server *http1Server
	raw    *net.TCPConn
	nc     net.Conn // raw, or TLS over it
	random *rand.Rand
	tenant string

	mu     sync.Mutex // guards the fields below; the ledger, which calls nothing, is called while it is held
	served int        // requests
	now    token      // request under way, or the last one
}

// kill ends a connection that has served a request before. A request under way gets no answer, or a part of one.
func (c *http1Conn) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served == 0 {
		return
	}
	c.server.ledger.answering(c.now) // the client may have received a part of it
	c.raw.Close()
}

func (c *http1Conn) run() {
	defer func() {
		c.nc.Close()
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
	}()
	in := bufio.NewReader(c.nc)
	for {
		c.nc.SetReadDeadline(time.Now().Add(c.patience()))
		if _, err := in.Peek(1); err != nil {
			c.farewell(err)
			return
		}
		c.nc.SetReadDeadline(time.Now().Add(time.Minute))
		req, err := http.ReadRequest(in)
		if err != nil || !c.handle(req, in) {
			return
		}
	}
}

// patience returns how long the connection may be idle.
func (c *http1Conn) patience() time.Duration {
	if c.served == 0 {
		return time.Minute
	}
	return time.Millisecond + time.Duration(c.random.IntN(int(40*time.Millisecond)))
}

// farewell returns what the server sends before it closes an idle connection: nothing, or a 408 that answers no request.
func (c *http1Conn) farewell(err error) {
	if ne, ok := err.(net.Error); ok && ne.Timeout() && c.server.rude && c.random.IntN(2) == 0 {
		c.server.ledger.fault("408 on an idle connection")
		io.WriteString(c.nc, "HTTP/1.1 408 Request Timeout\r\nX-Soak: farewell\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
}

// request is a request as a server sees it.
type request struct {
	token  token
	upload int
	answer int  // bytes
	first  bool // it has not arrived anywhere before
}

// accept writes a request into the ledger. It returns false if no caller has sent such a request.
func accept(l *ledger, path, tenant string, was *string, used bool) (request, bool) {
	name, query, _ := strings.Cut(strings.TrimPrefix(path, "/"), "?")
	t, ok := parseToken(name)
	n, err := strconv.Atoi(query)
	times, upload := l.arrive(t, used)
	if !ok || err != nil || times == 0 {
		l.violate(WrongAnswer, "a server was asked for %q, which nobody has sent", path)
		return request{}, false
	}
	if *was == "" {
		*was = tenant
	}
	if *was != tenant {
		l.violate(Mixed, "a request of %s on a connection of %s", tenant, *was)
	}
	return request{token: t, upload: upload, answer: n, first: times == 1}, true
}

// handle serves a request. It returns false if the connection ends.
func (c *http1Conn) handle(req *http.Request, in *bufio.Reader) bool {
	l := c.server.ledger
	r, ok := accept(l, req.RequestURI, req.Header.Get("X-Tenant"), &c.tenant, c.served > 0)
	if req.URL.IsAbs() { // through a proxy that forwards
		r, ok = accept(l, req.URL.RequestURI(), req.Header.Get("X-Tenant"), &c.tenant, c.served > 0)
	}
	if !ok {
		return false
	}
	c.mu.Lock()
	c.now = r.token
	c.mu.Unlock()
	what := "none"
	if c.served > 0 && r.first {
		what = pick(c.random, "close before the request is read", "close without an answer", "reset without an answer",
			"close within the answer", "answer before the upload is read", "none", "none", "none", "none", "none")
	}
	switch {
	case what == "close before the request is read":
		l.fault(what)
		l.drop(r.token, false)
		return false
	case what == "answer before the upload is read" && r.upload > 0:
		l.fault(what)
		l.answering(r.token)
		if !c.answer(req, r, "") {
			return false
		}
		return c.read(req, r) && c.done()
	}
	if !c.read(req, r) {
		l.drop(r.token, false)
		return false
	}
	switch what {
	case "reset without an answer":
		c.raw.SetLinger(0)
		fallthrough
	case "close without an answer":
		l.fault(what)
		l.drop(r.token, false)
		return false
	case "close within the answer":
		l.fault(what)
		l.answering(r.token)
		fmt.Fprintf(c.nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", r.answer, content(r.token, saltAnswer, r.answer)[:r.answer/2])
		return false
	}
	return c.finish(req, r)
}

// finish answers a request, and may misbehave after the answer.
func (c *http1Conn) finish(req *http.Request, r request) bool {
	l := c.server.ledger
	after := pick(c.random, "close behind the answer", "announce a close", "none", "none", "none", "none", "none", "none", "none", "none")
	if c.server.rude && c.random.IntN(4) == 0 {
		after = "plant an answer"
	}
	if after != "none" {
		l.fault(after)
	}
	switch after {
	case "plant an answer":
		return c.answer(req, r, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nPLANTED") && c.done()
	case "announce a close":
		req.Close = true
		c.answer(req, r, "")
		return false
	}
	return c.answer(req, r, "") && after == "none" && c.done()
}

func (c *http1Conn) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served++
	return true
}

// read reads the body of a request and compares it with what was sent. It returns false if the body ended early.
func (c *http1Conn) read(req *http.Request, r request) bool {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return false
	}
	c.server.ledger.execute(r.token, bytes.Equal(body, content(r.token, saltRequest, r.upload)))
	return true
}

// answer writes the answer, and what follows it, in one piece.
func (c *http1Conn) answer(req *http.Request, r request, behind string) bool {
	var b bytes.Buffer
	body := content(r.token, saltAnswer, r.answer)
	b.WriteString("HTTP/1.1 200 OK\r\n")
	if req.Close {
		b.WriteString("Connection: close\r\n")
	}
	if r.answer%2 == 0 || req.Method == http.MethodHead {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
		if req.Method != http.MethodHead {
			b.Write(body)
		}
	} else {
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	b.WriteString(behind)
	_, err := c.nc.Write(b.Bytes())
	return err == nil
}

func pick(random *rand.Rand, of ...string) string { return of[random.IntN(len(of))] }

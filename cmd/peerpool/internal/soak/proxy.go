package soak

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// proxy is a proxy for CONNECT.
type proxy struct {
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex // guards conns; nothing is called under it
	conns map[net.Conn]bool
}

func (p *proxy) serve() {
	defer p.wg.Done()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.tunnel(c) })
	}
}

func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
}

func (p *proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// tunnel carries bytes both ways until both sides have ended. If the server has ended, it waits for the client for a
// limited time.
func (p *proxy) tunnel(c net.Conn) {
	p.keep(c)
	defer p.drop(c)
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	target, err := net.Dial("tcp", req.Host)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	p.keep(target)
	defer p.drop(target)
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	up := make(chan struct{})
	go func() { // ends with either side
		defer close(up)
		carry(target, in)
		target.(*net.TCPConn).CloseWrite()
	}()
	carry(c, target)
	c.(*net.TCPConn).CloseWrite()
	c.SetReadDeadline(time.Now().Add(time.Second)) // time for what the client has sent to arrive
	<-up
}

// carry copies in user space. [io.Copy] from one socket to another uses pipes in the kernel, which the net package keeps
// until the garbage collector runs. Such pipes are still open at the end of a run, and would look like a leak.
func carry(to io.Writer, from io.Reader) {
	io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
}

func (p *proxy) close() {
	p.ln.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

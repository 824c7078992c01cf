package soak

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// proxy is one for CONNECT.
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

// tunnel carries bytes both ways until both sides have ended, or the server has and the client takes its time.
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
	go func() { // ends when either side does
		defer close(up)
		carry(target, in)
		target.(*net.TCPConn).CloseWrite()
	}()
	carry(c, target)
	c.(*net.TCPConn).CloseWrite()
	c.SetReadDeadline(time.Now().Add(time.Second)) // what the client has sent arrives
	<-up
}

// carry copies in user space. [io.Copy] of one socket to another has the kernel splice them through pipes, which the net
// package keeps until the garbage collector has run: they are open when a run has ended, and look like a leak.
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

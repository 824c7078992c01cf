package httptestutil

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// OriginOptions describes how an [Origin] listens and answers. The zero value
// describes an HTTP/1.1 server on 127.0.0.1 that answers with [Echo].
type OriginOptions struct {
	// Handler answers the requests. If it is nil, Echo answers them. Before
	// Handler is called, the origin sets the headers X-Origin, X-Conn and
	// X-Seq. See also SeenBy.
	Handler http.Handler

	// Network is "tcp4", "tcp6" or "unix". "" means "tcp4".
	Network string

	// Listener, if set, is used in place of a new listener, and is closed at
	// the end of the test. With a [Listener] of this package, the origin
	// works inside a testing/synctest bubble. An origin with a Listener
	// cannot be restarted.
	Listener net.Listener

	// If CA or TLS is set, the origin speaks TLS. TLS can hold anything that
	// a tls.Config can express, such as versions, a request for a client
	// certificate, SessionTicketsDisabled, or certificates. If TLS has no
	// certificate, the origin uses a certificate for loopback that CA issues,
	// or that a new authority issues if CA is nil. If TLS has no ClientCAs,
	// the origin accepts client certificates that CA has issued.
	CA  *CA
	TLS *tls.Config

	// Protocols is the set of HTTP versions that the origin serves. Nil means
	// only HTTP/1.
	Protocols *http.Protocols

	// Configure, if set, may change the http.Server after the origin has set
	// it up. It is called before the origin listens, and again at each start.
	// It must not set ConnState and ConnContext, which the origin uses.
	Configure func(*http.Server)
}

// Origin is an HTTP server on loopback that counts its connections, tells
// each request on which connection it arrived, and closes connections when
// told to. It is safe for concurrent use, except that Stop, Start and Restart
// must not be called at the same time.
type Origin struct {
	t       testing.TB
	opts    OriginOptions
	tls     *tls.Config
	ca      *CA
	network string
	addr    string
	tr      *tracker

	// Guarded by tr.mu.
	requests int
	running  int    // handlers
	seen     []Seen // the latest, up to twice seenKept

	mu   sync.Mutex // guards srv and done; not held while anything is closed
	srv  *http.Server
	done chan struct{} // closed when srv's accept loop has ended
}

// NewOrigin starts an Origin. It is closed at the end of the test.
func NewOrigin(t testing.TB, opts OriginOptions) *Origin {
	t.Helper()
	o := &Origin{t: t, opts: opts, tr: newTracker()}
	if o.opts.Handler == nil {
		o.opts.Handler = http.HandlerFunc(Echo)
	}
	if o.opts.Protocols == nil {
		o.opts.Protocols = new(http.Protocols)
		o.opts.Protocols.SetHTTP1(true)
	}
	o.tls, o.ca = serverTLS(t, opts.CA, opts.TLS)
	if o.tls != nil && len(o.tls.NextProtos) == 0 {
		o.tls.NextProtos = alpn(*o.opts.Protocols)
	}
	o.network = opts.Network
	if o.network == "" {
		o.network = "tcp4"
	}
	ln := opts.Listener
	if ln == nil {
		ln = listen(t, o.network)
	}
	o.addr = ln.Addr().String()
	o.serve(ln)
	t.Cleanup(o.Close)
	return o
}

// URL returns the origin's base URL without a slash at its end. If the origin
// listens on a Unix socket, or on a Listener of the caller, the URL has the
// host example.test, and a client reaches the origin through Dial.
func (o *Origin) URL() string {
	host := o.addr
	if o.network == "unix" || o.opts.Listener != nil {
		host = "example.test"
	}
	if o.tls != nil {
		return "https://" + host
	}
	return "http://" + host
}

// Addr returns the origin's "ip:port", or the path of its socket.
func (o *Origin) Addr() string { return o.addr }

// CA returns the authority that the origin was given or has created, or nil
// if there is none.
func (o *Origin) CA() *CA { return o.ca }

// ClientTLS returns a new client configuration that trusts only the origin's
// authority. It returns nil if CA returns nil.
func (o *Origin) ClientTLS() *tls.Config {
	if o.ca == nil {
		return nil
	}
	return &tls.Config{RootCAs: o.ca.Pool()}
}

// Dial connects to the origin and ignores the network and the address. Use it
// as the DialContext of a client under test that requests other host names
// than the origin's own, or that connects to a Unix socket.
func (o *Origin) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	type dialer interface {
		Dial(ctx context.Context, network, addr string) (net.Conn, error)
	}
	if ln, ok := o.opts.Listener.(dialer); ok {
		return ln.Dial(ctx, o.network, o.addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, o.network, o.addr)
}

// Conns returns how many connections have been accepted so far, including
// those before a restart.
func (o *Origin) Conns() int { return o.tr.acceptedConns() }

// OpenConns returns how many connections are open, as the origin sees it.
// When a client closes a connection, the origin notices it a moment later. A
// test waits for this with WaitOpenConns.
func (o *Origin) OpenConns() int { return o.tr.openConns() }

// Requests returns how many requests have been passed to the handler so far.
func (o *Origin) Requests() int {
	o.tr.mu.Lock()
	defer o.tr.mu.Unlock()
	return o.requests
}

// seenKept is the largest number of requests that Seen returns. It bounds an
// origin's memory.
const seenKept = 1000

// Seen returns what the origin saw of the last thousand requests, the oldest
// first. It includes requests whose answer never reached the client.
func (o *Origin) Seen() []Seen {
	o.tr.mu.Lock()
	defer o.tr.mu.Unlock()
	return slices.Clone(o.seen[max(0, len(o.seen)-seenKept):])
}

// WaitOpenConns waits until exactly n connections are open, and ends the test
// if that does not happen within Bound. Only the test's goroutine may call it.
func (o *Origin) WaitOpenConns(n int) {
	o.t.Helper()
	o.tr.waitOpenConns(o.t, n)
}

// WaitRequests waits until at least n requests have been passed to the
// handler, and ends the test if that does not happen within Bound. Only the
// test's goroutine may call it.
func (o *Origin) WaitRequests(n int) {
	o.t.Helper()
	o.tr.waitFor(o.t, fmt.Sprintf("%d requests", n), func() bool { return o.requests >= n })
}

// serve starts to accept connections on ln. The goroutine ends when the
// server is closed.
func (o *Origin) serve(ln net.Listener) {
	srv := &http.Server{
		Handler:   http.HandlerFunc(o.handle),
		Protocols: o.opts.Protocols,
		ErrorLog:  log.New(io.Discard, "", 0), // what goes wrong here is meant to
	}
	if o.opts.Configure != nil {
		o.opts.Configure(srv)
	}
	srv.ConnContext = withConn
	srv.ConnState = o.setState
	tracked := o.tr.listen(ln)
	if o.tls != nil {
		// ServeTLS is not used, because it clones the configuration, and a clone
		// has new keys for session tickets at each start.
		tracked = tls.NewListener(tracked, o.tls)
	}
	done := make(chan struct{})
	o.mu.Lock()
	o.srv, o.done = srv, done
	o.mu.Unlock()
	go func() {
		defer close(done)
		_ = srv.Serve(tracked) // always an error: that it was closed
	}()
}

type connKey struct{}

func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, trackedUnder(nc))
}

func (o *Origin) setState(nc net.Conn, state http.ConnState) {
	if c := trackedUnder(nc); c != nil {
		o.tr.update(func() { c.state = state })
	}
}

func (o *Origin) handle(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*trackedConn)
	if !ok || c == nil {
		http.Error(w, "httptestutil: a connection that the origin did not accept", http.StatusInternalServerError)
		return
	}
	seen := Seen{
		Origin: o.addr, Conn: c.number,
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto,
		RemoteAddr: r.RemoteAddr, Header: r.Header.Clone(),
	}
	seen.setTLS(r.TLS)
	o.tr.update(func() {
		o.requests++
		o.running++
		c.handlers++
		c.seq++
		seen.Seq = c.seq
		if len(o.seen) == 2*seenKept {
			o.seen = append(o.seen[:0], o.seen[seenKept:]...)
		}
		o.seen = append(o.seen, seen)
	})
	defer o.tr.update(func() {
		o.running--
		c.handlers--
	})
	w.Header().Set(HeaderOrigin, o.addr)
	w.Header().Set(HeaderConn, strconv.Itoa(seen.Conn))
	w.Header().Set(HeaderSeq, strconv.Itoa(seen.Seq))
	o.opts.Handler.ServeHTTP(w, withSeen(r, seen))
}

// alpn returns the ALPN names of the protocols p, the newest first.
func alpn(p http.Protocols) []string {
	var names []string
	if p.HTTP2() {
		names = append(names, "h2")
	}
	if p.HTTP1() {
		names = append(names, "http/1.1")
	}
	return slices.Clip(names)
}

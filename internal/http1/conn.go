package http1

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/peerpool/peerpool/internal/socket"
)

// DefaultBufferSize is the size in bytes of the read and write buffers when none is asked for.
const DefaultBufferSize = 4 << 10

// Watching says whether a connection is watched.
type Watching uint8

const (
	Unwatched Watching = iota // nobody has tried to watch it
	BeingWatched
	Unwatchable
)

// traits are a set of what is known of a connection.
type traits uint8

const (
	kernelSocket traits = 1 << iota // the socket is one: the kernel takes small writes even while nobody reads
	overTLS                         // nc is TLS made by crypto/tls
	middling                        // the last response had a body of middling length: see Conn.expect
	used                            // an exchange has begun
)

// Conn is a connection on which HTTP/1.1 exchanges run, one after the other. It is made by [NewConn].
//
// Abort and Close are safe for concurrent use. Only the exchange that is running may use anything else.
type Conn struct {
	nc    net.Conn        // for reading and writing: the socket, or TLS over it
	under *records        // our layer under nc, if nc is TLS; nil: there is none
	raw   syscall.RawConn // of the socket; nil if the connection is veiled
	veil  *veil           // a layer of unknown type above the socket; nil: there is none
	in    *input          // nil between exchanges, so that an idle connection is small

	// Watching is BeingWatched if somebody calls Rouse when the peer closes. Set it between exchanges.
	Watching  Watching
	traits    traits       // one byte: there are very many idle connections
	found     Condition    // other than Quiet: a look has found this, and has read it
	decrypted bool         // TLS is known to hold nothing that was sent before the last Read
	asking    atomic.Int32 // calm, underWay or roused: see ask

	cause atomic.Pointer[error] // why Abort was called, first call wins
}

// NewConn returns a Conn over nc. If nc is a *tls.Conn, NewConn finds the socket underneath.
func NewConn(nc net.Conn) *Conn {
	c := new(Conn)
	c.Init(nc)
	return c
}

// Init is NewConn for a Conn that is part of something else.
func (c *Conn) Init(nc net.Conn) {
	c.nc = nc
	if t := c.tls(); t != nil {
		c.traits |= overTLS
		if under, ok := t.NetConn().(*records); ok {
			c.under, under.conn = under, c
			under.exact = t.ConnectionState().Version == tls.VersionTLS13
		}
	}
	var socket net.Conn
	if socket, c.raw, c.veil = below(nc); c.veil != nil {
		c.veil.put(nc)
	}
	if _, ok := socket.(syscall.Conn); ok {
		c.traits |= kernelSocket
	}
}

// NetConn returns the connection that requests are written to.
func (c *Conn) NetConn() net.Conn { return c.nc }

// tls returns nc if it is TLS made by crypto/tls, or nil.
func (c *Conn) tls() *tls.Conn {
	t, _ := c.nc.(*tls.Conn)
	return t
}

// Socket returns the innermost connection that can be reached: what lies below TLS.
func (c *Conn) Socket() net.Conn {
	socket, _, _ := below(c.nc)
	return socket
}

// Veiled reports whether layers of unknown types may hold bytes that the kernel does not know of. While such a connection
// idles, a read is pending on it; see OnIdleEnd.
func (c *Conn) Veiled() bool { return c.veil != nil }

// OnIdleEnd sets the function to call when something arrives on a veiled connection that idles, or when it ends. The function
// runs on another goroutine. Call OnIdleEnd before the first exchange.
func (c *Conn) OnIdleEnd(ended func(Condition)) { c.veil.idleEnded = ended }

// SyscallConn returns the RawConn of the socket, always the same one, or an error if the connection is veiled.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.veil != nil {
		return nil, errors.ErrUnsupported
	}
	return c.raw, nil
}

// Abort interrupts what runs on the connection: it closes the socket, and blocked reads and writes return cause. If Abort is
// called again, the first cause stays. Abort does not wait, and sends nothing to the peer.
func (c *Conn) Abort(cause error) {
	if c.condemn(cause) {
		c.cut()
	}
}

// condemn is the first half of Abort: from now on, no exchange may use the connection, for the reason cause. If condemn
// returns true, the caller must call cut, the other half. cut may block for as long as the Close of a custom connection does.
func (c *Conn) condemn(cause error) bool { return c.cause.CompareAndSwap(nil, &cause) }

// cut closes the socket of a condemned connection.
func (c *Conn) cut() { c.Socket().Close() }

// Close closes the connection, with a close_notify if it has TLS (RFC 9112 section 9.8).
func (c *Conn) Close() error {
	if c.cause.Load() != nil {
		return nil
	}
	return c.nc.Close()
}

// aborted returns the cause given to Abort, or nil.
func (c *Conn) aborted() error {
	if p := c.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// explain returns the cause of Abort in place of an error that Abort may have caused.
func (c *Conn) explain(err error) error {
	if err != nil {
		if cause := c.aborted(); cause != nil {
			return cause
		}
	}
	return err
}

// Read reads what the peer has sent. What a pending read has got comes first.
func (c *Conn) Read(p []byte) (int, error) {
	if cause := c.aborted(); cause != nil {
		return 0, cause // closing a connection of a custom dialer need not end its reads
	}
	if c.limitsReads() {
		return c.readWithin(p)
	}
	return c.read(p)
}

func (c *Conn) read(p []byte) (n int, err error) {
	if ahead := c.readingAhead(); ahead != nil && len(p) > 0 {
		var more bool
		if n, more, err = ahead.take(p); !more {
			c.veil.ahead = nil
		}
		c.decrypted = false
	} else {
		n, err = c.readSocket(p)
		c.decrypted = c.under.drained() && n < len(p)
	}
	return n, c.explain(err)
}

// readSocket is the Read of nc. If nc is a TCP connection, it costs less.
func (c *Conn) readSocket(p []byte) (int, error) {
	if _, ok := c.nc.(*net.TCPConn); ok && socket.Supported && c.raw != nil {
		return socket.Read(c.nc, c.raw, p)
	}
	if c.veil != nil {
		return c.veil.top.Read(p)
	}
	return c.nc.Read(p)
}

// Write writes to the peer.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.nc.Write(p)
	return n, c.explain(err)
}

// ReadFrom has the kernel copy a file into a plain TCP connection; see Conn.kernelCopies.
func (c *Conn) ReadFrom(src io.Reader) (int64, error) {
	n, err := c.nc.(io.ReaderFrom).ReadFrom(src)
	return n, c.explain(err)
}

// input is the read buffer of the exchange that is running, and the state of Conn.ask.
type input struct {
	buf  []byte
	r, w int // unread bytes are buf[r:w]

	limit time.Duration // of each read; 0: none

	attend func(fd uintptr) (done bool) // the method ask, bound once
	out    []byte                       // the request
	sent   int                          // bytes of it; untried: not tried yet; -1: sending has failed
	failed error                        // why nothing could be sent or received

	chunk chunks // of the body that is read through it

	// The parts of an idle connection have 128 bytes. If an input had as many, they would lie in the same pages of memory,
	// and the room that an input leaves there would stay unused.
	_ [16]byte
}

// largeInput is the size in bytes of an input that takes a whole answer of middling length: its head, and what comes with it.
const largeInput = maxInline + DefaultBufferSize

// inputs hold inputs of DefaultBufferSize, largeInputs those of largeInput bytes.
var (
	inputs      = sync.Pool{New: func() any { return newInput(DefaultBufferSize) }}
	largeInputs = sync.Pool{New: func() any { return newInput(largeInput) }}
)

func newInput(size int) *input {
	in := &input{buf: make([]byte, size)}
	in.attend = in.ask
	return in
}

// release gives the input back to its pool. Unread bytes are lost.
func (in *input) release() {
	in.r, in.w, in.failed, in.chunk = 0, 0, nil, chunks{}
	switch len(in.buf) {
	case DefaultBufferSize:
		inputs.Put(in)
	case largeInput:
		largeInputs.Put(in)
	}
}

func (in *input) buffered() int {
	if in == nil {
		return 0
	}
	return in.w - in.r
}

// takeInput takes an input for an exchange, if it has none.
func (c *Conn) takeInput(size int) {
	c.traits |= used
	switch {
	case c.in != nil:
	case size > 0 && size != DefaultBufferSize:
		c.in = newInput(size)
	default:
		c.in = c.lentInput()
	}
}

// lentInput returns an input of the size that the next response probably needs.
func (c *Conn) lentInput() *input {
	if c.traits&middling != 0 {
		return largeInputs.Get().(*input)
	}
	return inputs.Get().(*input)
}

// expect notes the length of a response's body, -1 if that is unknown. If it does not fit into an input of the usual size, but
// into a large one, the next exchange takes a large one: the next response is probably about as long, and is then read by one call of
// the system. A longer body is read into the caller's buffer past the input.
func (c *Conn) expect(length int64) {
	c.traits &^= middling
	if length > DefaultBufferSize/2 && length <= maxInline {
		c.traits |= middling
	}
}

// giveInput gives the input back. The caller has looked for unread bytes before.
func (c *Conn) giveInput() {
	if in := c.in; in != nil {
		if in.limit > 0 {
			c.endReadLimit()
		}
		c.in = nil
		in.release()
	}
}

// fill reads once into the free space of the buffer. If there is none, fill makes some.
func (c *Conn) fill() error {
	in := c.in
	if in.r == in.w {
		in.r, in.w = 0, 0
	} else if in.w == len(in.buf) && in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if in.w == len(in.buf) {
		in.grow()
	}
	if err := in.failure(); err != nil {
		return c.explain(err)
	}
	n, err := c.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// grow doubles a buffer that a long head or trailer has filled. The caller limits its size.
func (in *input) grow() {
	bigger := make([]byte, 2*len(in.buf))
	in.w = copy(bigger, in.buf[in.r:in.w])
	in.r = 0
	in.buf = bigger
}

// buffers hold buffers of DefaultBufferSize to write from. largeBuffers hold buffers with room for a head and the largest inline
// body. No caller keeps a part of such a buffer, or of an input: bodies are copied out of them or written to a Writer, and heads
// become strings.
var (
	buffers      = sync.Pool{New: func() any { return new([DefaultBufferSize]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new(largeBuffer) }}
)

type largeBuffer [maxInline + DefaultBufferSize]byte

// getBuffer returns a buffer for a head and that many bytes of body.
func getBuffer(size int, length int64) []byte {
	switch {
	case length > DefaultBufferSize/2:
		return largeBuffers.Get().(*largeBuffer)[:]
	case size <= 0 || size == DefaultBufferSize:
		return buffers.Get().(*[DefaultBufferSize]byte)[:]
	}
	return make([]byte, size)
}

func putBuffer(b []byte) {
	switch cap(b) {
	case DefaultBufferSize:
		buffers.Put((*[DefaultBufferSize]byte)(b[:DefaultBufferSize]))
	case len(largeBuffer{}):
		largeBuffers.Put((*largeBuffer)(b[:len(largeBuffer{})]))
	}
}

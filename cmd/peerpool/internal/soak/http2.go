package soak

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Server is an HTTP/2 server over TLS that misbehaves.
type http2Server struct {
	ledger *ledger
	ln     net.Listener
	tls    *tls.Config
	wg     sync.WaitGroup

	mu    sync.Mutex // guards conns; nothing is called under it
	conns map[net.Conn]bool
}

func (s *http2Server) serve() {
	defer s.wg.Done()
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[nc] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				nc.Close()
				s.mu.Lock()
				delete(s.conns, nc)
				s.mu.Unlock()
			}()
			tc := tls.Server(nc, s.tls)
			c := &http2Conn{
				server: s, raw: nc.(*net.TCPConn), nc: tc, streams: make(map[uint32]*stream), window: 65535,
				random: rand.New(rand.NewPCG(rand.Uint64(), 2)),
			}
			c.run()
			tc.Close()
		})
	}
}

// close ends the server after its clients have ended. The server gets a moment to read what they have sent.
func (s *http2Server) close() {
	s.ln.Close()
	defer time.AfterFunc(time.Second, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for nc := range s.conns {
			nc.Close()
		}
	}).Stop()
	s.wg.Wait()
}

// surelyUsed is the number of requests that a connection must have served before the server misbehaves on it. Many requests
// may get a connection while it is new. A request that arrives later has certainly got a used one.
const surelyUsed = 16

// http2Conn is a connection of an http2Server. Only its goroutine, which ends with the connection, uses it.
type http2Conn struct {
	server  *http2Server
	raw     *net.TCPConn
	nc      *tls.Conn // over raw
	fr      *http2.Framer
	random  *rand.Rand
	tenant  string
	served  int // requests
	streams map[uint32]*stream
	last    uint32   // highest stream that was accepted
	leaving bool     // GOAWAY was sent, so no stream above last is accepted
	broken  bool     // the client gets nothing more
	window  int      // bytes of DATA that may be sent
	waiting []func() // answers that wait for window
}

// stream is a request that is being read.
type stream struct {
	request
	head bool // HEAD
	body bytes.Buffer
	what string // fault to commit instead of an answer
}

// run serves the connection until either side ends it.
func (c *http2Conn) run() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.nc, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	c.fr = http2.NewFramer(c.nc, c.nc)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 20})
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			c.lose()
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.fr.WritePing(true, f.Data)
			}
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				c.window += int(f.Increment)
				c.flush()
			}
		case *http2.MetaHeadersFrame:
			c.open(f)
		case *http2.DataFrame:
			c.data(f)
		case *http2.RSTStreamFrame:
			delete(c.streams, f.StreamID)
		}
		if c.broken || c.leaving && len(c.streams) == 0 && len(c.waiting) == 0 {
			c.linger()
			return
		}
	}
}

// breakOff ends the connection without GOAWAY, and without an answer to the requests under way.
func (c *http2Conn) breakOff() {
	c.lose()
	c.broken = true
	c.raw.CloseWrite()
}

// linger closes the sending side of the connection and goes on reading. So the client gets everything that was sent to it,
// even if it still writes, and the ledger learns of everything that the client has sent. The client cannot know whether a
// request that arrives now was executed.
func (c *http2Conn) linger() {
	if !c.broken {
		c.nc.CloseWrite()
	}
	c.nc.SetReadDeadline(time.Now().Add(time.Second))
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			return
		}
		if f, ok := f.(*http2.MetaHeadersFrame); ok {
			c.open(f)
		}
	}
}

// lose writes into the ledger that the requests under way have ended with the connection.
func (c *http2Conn) lose() {
	for _, s := range c.streams {
		c.server.ledger.drop(s.token, false)
	}
}

// open accepts a request, or refuses it.
func (c *http2Conn) open(f *http2.MetaHeadersFrame) {
	l, id := c.server.ledger, f.StreamID
	r, ok := accept(l, f.PseudoValue("path"), tenantOf(f), &c.tenant, c.served > 0)
	if !ok {
		c.fr.WriteRSTStream(id, http2.ErrCodeProtocol)
		return
	}
	if c.leaving || c.broken {
		l.drop(r.token, c.leaving) // GOAWAY has announced it
		return
	}
	s := &stream{request: r, head: f.PseudoValue("method") == "HEAD", what: "none"}
	if c.served > 0 && r.first {
		s.what = pick(c.random, "refuse the stream", "GOAWAY below the stream", "GOAWAY, and answer", "close without an answer",
			"reset within the answer", "answer before the upload is read",
			"none", "none", "none", "none", "none", "none", "none", "none", "none", "none", "none", "none")
	}
	if s.what == "close without an answer" && c.served < surelyUsed {
		s.what = "none"
	}
	switch s.what {
	case "refuse the stream":
		l.fault(s.what)
		l.drop(r.token, true)
		c.fr.WriteRSTStream(id, http2.ErrCodeRefusedStream)
		return
	case "GOAWAY below the stream":
		l.fault(s.what)
		l.drop(r.token, true)
		c.leaving = true
		c.fr.WriteGoAway(c.last, http2.ErrCodeNo, nil)
		return
	case "GOAWAY, and answer":
		l.fault(s.what)
		c.leaving, c.last = true, id
		c.fr.WriteGoAway(id, http2.ErrCodeNo, nil)
	}
	c.last = id
	c.streams[id] = s
	if f.StreamEnded() {
		c.complete(id, s)
	} else if s.what == "answer before the upload is read" {
		l.fault(s.what)
		l.answering(r.token)
		delete(c.streams, id)
		c.answer(id, s, func() { c.fr.WriteRSTStream(id, http2.ErrCodeNo) })
	}
}

func tenantOf(f *http2.MetaHeadersFrame) string {
	for _, field := range f.RegularFields() {
		if field.Name == "x-tenant" {
			return field.Value
		}
	}
	return ""
}

// data receives a part of an upload.
func (c *http2Conn) data(f *http2.DataFrame) {
	if n := f.Length; n > 0 {
		c.fr.WriteWindowUpdate(0, n)
		if !f.StreamEnded() && c.streams[f.StreamID] != nil {
			c.fr.WriteWindowUpdate(f.StreamID, n)
		}
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return
	}
	s.body.Write(f.Data())
	if f.StreamEnded() {
		c.complete(f.StreamID, s)
	}
}

// complete answers a request that has been read to its end.
func (c *http2Conn) complete(id uint32, s *stream) {
	l := c.server.ledger
	l.execute(s.token, bytes.Equal(s.body.Bytes(), content(s.token, saltRequest, s.upload)))
	if s.what == "close without an answer" && len(c.streams) == 1 && len(c.waiting) == 0 {
		l.fault(s.what)
		c.breakOff()
		return
	}
	delete(c.streams, id)
	if s.what == "reset within the answer" {
		l.fault(s.what)
		l.answering(s.token)
		c.head(id, s, false)
		c.fr.WriteRSTStream(id, http2.ErrCodeInternal)
		return
	}
	c.answer(id, s, nil)
}

func (c *http2Conn) head(id uint32, s *stream, end bool) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	enc.WriteField(hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(s.request.answer)})
	c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

// answer writes the answer as soon as the window of the connection has room for it. The window of a stream always has. Then
// answer calls then, if it is not nil.
func (c *http2Conn) answer(id uint32, s *stream, then func()) {
	c.served++
	c.waiting = append(c.waiting, func() {
		body := content(s.token, saltAnswer, s.request.answer)
		if empty := s.head || len(body) == 0; empty {
			c.head(id, s, true)
		} else {
			c.head(id, s, false)
			c.window -= len(body)
			c.fr.WriteData(id, true, body)
		}
		if then != nil {
			then()
		}
	})
	c.flush()
}

// flush writes waiting answers as long as there is room for the largest one.
func (c *http2Conn) flush() {
	for len(c.waiting) > 0 && c.window >= maxAnswer {
		write := c.waiting[0]
		c.waiting = c.waiting[1:]
		write()
	}
}

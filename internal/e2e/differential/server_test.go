package differential_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A server plays a script to whatever client connects to its listener, and writes down what it saw.
type server struct {
	script *script
	ln     *httptestutil.Listener
	wg     sync.WaitGroup // of everything that it has started

	mu    sync.Mutex // guards what follows; nothing blocks under it
	seen  [][]*seen  // by exchange, and by attempt
	conns []*serverConn
	fault []string // what no client may do
}

// seen is what the server saw of one attempt at a request.
type seen struct {
	head    string // fields, sorted
	body    []byte
	trailer string
	ended   bool
	reset   string // by the client
	broken  bool   // the server reset it, or the connection ended first
}

// serverConn is one connection.
type serverConn struct {
	srv    *server
	nc     net.Conn
	framer *http2.Framer // reads

	out chan segment // to the goroutine that writes

	mu      sync.Mutex // guards what follows, and the order in which frames are made
	changed sync.Cond  // any of it
	writer  *http2.Framer
	frames  bytes.Buffer // what writer writes to
	encoder *hpack.Encoder
	block   bytes.Buffer
	streams map[uint32]*serverStream
	window  int64 // of the client, for the connection
	peak    int64 // of window, as it was at first
	initial int64 // the client's INITIAL_WINDOW_SIZE
	most    int   // the client's MAX_FRAME_SIZE
	last    uint32
	closed  bool
}

// serverStream is one stream.
type serverStream struct {
	*seen
	window int64
}

// A segment is what one write writes, after a pause.
type segment struct {
	after time.Duration
	b     []byte
	close bool // instead
}

func newServer(s *script) *server {
	return &server{script: s, ln: httptestutil.NewListener(0), seen: make([][]*seen, len(s.exchanges))}
}

// serve accepts connections until the listener is closed.
func (s *server) serve() {
	s.wg.Go(func() {
		for {
			nc, err := s.ln.Accept()
			if err != nil {
				return
			}
			c := &serverConn{
				srv: s, nc: nc, framer: http2.NewFramer(nil, nc), out: make(chan segment, 100_000),
				streams: map[uint32]*serverStream{}, window: 65535, peak: 65535, initial: 65535, most: 16 << 10,
			}
			c.changed.L = &c.mu
			c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			c.framer.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(c.tableSize())
			c.framer.SetMaxReadFrameSize(1<<24 - 1)
			c.writer = http2.NewFramer(&c.frames, nil)
			c.writer.AllowIllegalWrites = true
			c.encoder = hpack.NewEncoder(&c.block)
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(c.write)
			s.wg.Go(c.read)
		}
	})
}

// stop ends everything.
func (s *server) stop() {
	s.ln.Close()
	s.mu.Lock()
	conns := s.conns
	s.mu.Unlock()
	for _, c := range conns {
		c.end()
	}
	s.wg.Wait()
}

// faulty notes that the client has broken a rule.
func (s *server) faulty(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = append(s.fault, fmt.Sprintf(format, args...))
}

// tableSize is the size of the dynamic table that the client's encoder may use.
func (c *serverConn) tableSize() uint32 {
	for _, set := range c.srv.script.server.settings {
		if set.ID == http2.SettingHeaderTableSize {
			return max(set.Val, 4096) // until the client has acknowledged it, it may use 4096
		}
	}
	return 4096
}

// end closes the connection and wakes every goroutine that waits for it.
func (c *serverConn) end() {
	c.nc.Close()
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.out)
	}
	c.changed.Broadcast()
	c.mu.Unlock()
}

// write writes segments, in order, until the connection ends.
func (c *serverConn) write() {
	for seg := range c.out {
		time.Sleep(seg.after)
		if seg.close {
			c.nc.Close()
		} else if _, err := c.nc.Write(seg.b); err != nil {
			c.nc.Close()
		}
	}
}

// send makes frames and has them written, cut as cuts says.
func (c *serverConn) send(cuts []cut, frames func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sendLocked(cuts, frames)
}

func (c *serverConn) sendLocked(cuts []cut, frames func()) {
	if c.closed {
		return
	}
	c.frames.Reset()
	frames()
	b := bytes.Clone(c.frames.Bytes())
	rest, pause := b, time.Duration(0)
	for _, ct := range cuts {
		at := min(max(0, len(b)*ct.permille/1000-(len(b)-len(rest))), len(rest))
		c.out <- segment{after: pause, b: rest[:at]}
		rest, pause = rest[at:], ct.pause
	}
	c.out <- segment{after: pause, b: rest}
}

// read reads frames until the connection ends.
func (c *serverConn) read() {
	defer c.end()
	defer c.breakAll()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.nc, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	plan := c.srv.script.server
	time.Sleep(instant + plan.late)
	c.send(nil, func() {
		c.writer.WriteSettings(plan.settings...)
		if plan.connWindow > 0 {
			c.writer.WriteWindowUpdate(0, plan.connWindow)
		}
	})
	if plan.pingEvery > 0 {
		c.srv.wg.Go(c.ping)
	}
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			if se, ok := err.(http2.StreamError); ok {
				c.srv.faulty("a malformed request: %v", se)
			} else if ce, ok := err.(http2.ConnectionError); ok {
				c.srv.faulty("a malformed frame: %v %v", ce, c.framer.ErrorDetail())
			}
			return
		}
		c.heed(f)
	}
}

// ping pings the client a hundred times, unless the connection ends before.
func (c *serverConn) ping() {
	for n := uint64(1); n < 100; n++ {
		time.Sleep(c.srv.script.server.pingEvery)
		c.mu.Lock()
		closed := c.closed
		c.sendLocked(nil, func() { c.writer.WritePing(false, [8]byte(binary.BigEndian.AppendUint64(nil, n))) })
		c.mu.Unlock()
		if closed {
			return
		}
	}
}

// breakAll marks the attempts that are not over.
func (c *serverConn) breakAll() {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, st := range c.streams {
		st.broken = st.broken || !st.ended && st.reset == ""
	}
}

// heed takes one frame of the client.
func (c *serverConn) heed(f http2.Frame) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.changed.Broadcast()
	st := c.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		if st != nil {
			st.trailer, st.ended = fieldsOf(f), f.StreamEnded()
			return
		}
		c.begin(f)
	case *http2.DataFrame:
		n := f.Length
		if st != nil {
			st.body = append(st.body, f.Data()...)
			st.ended = f.StreamEnded()
		}
		if n > 0 {
			c.refill(f.StreamID, n, f.StreamEnded())
		}
	case *http2.RSTStreamFrame:
		if st != nil {
			st.reset = f.ErrCode.String()
		}
	case *http2.SettingsFrame:
		c.settings(f)
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
			if len(c.streams) == 0 {
				c.peak = c.window
			}
			if c.window > 1<<31-1 {
				c.srv.fault = append(c.srv.fault, "the connection's window overflows")
			}
		} else if st != nil {
			if st.window += int64(f.Increment); st.window > 1<<31-1 {
				c.srv.fault = append(c.srv.fault, "a stream's window overflows")
			}
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			data := f.Data
			c.sendLocked(nil, func() { c.writer.WritePing(true, data) })
		}
	}
}

// begin starts what the script says about a request. The locks are held.
func (c *serverConn) begin(f *http2.MetaHeadersFrame) {
	st := &serverStream{seen: &seen{head: fieldsOf(f), ended: f.StreamEnded()}, window: c.initial}
	c.streams[f.StreamID] = st
	if f.StreamID <= c.last || f.StreamID%2 == 0 {
		c.srv.fault = append(c.srv.fault, fmt.Sprintf("stream %d begins after %d", f.StreamID, c.last))
	}
	c.last = f.StreamID
	i, err := strconv.Atoi(strings.TrimPrefix(f.PseudoValue("path"), "/"))
	if err != nil || i >= len(c.srv.seen) {
		c.srv.fault = append(c.srv.fault, "a request that nobody sent: "+st.head)
		return
	}
	c.srv.seen[i] = append(c.srv.seen[i], st.seen)
	steps := c.srv.script.exchanges[i].steps
	if len(c.srv.seen[i]) > 1 {
		steps = []step{{verb: "head", n: 200, fields: []string{"x-again: yes"}, end: true}}
	}
	id, who := f.StreamID, i
	c.srv.wg.Go(func() { c.play(id, st, who, steps) })
}

// refill gives back what DATA took of the windows. The locks are held.
func (c *serverConn) refill(stream, n uint32, ended bool) {
	give := func() {
		c.writer.WriteWindowUpdate(0, n)
		if !ended {
			c.writer.WriteWindowUpdate(stream, n)
		}
	}
	pause := c.srv.script.server.refillAfter
	if pause == 0 {
		c.sendLocked(nil, give)
		return
	}
	c.srv.wg.Go(func() {
		time.Sleep(pause)
		c.send(nil, give)
	})
}

// settings takes the client's SETTINGS. The locks are held.
func (c *serverConn) settings(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	f.ForeachSetting(func(set http2.Setting) error {
		switch set.ID {
		case http2.SettingInitialWindowSize:
			for _, st := range c.streams {
				st.window += int64(set.Val) - c.initial
			}
			c.initial = int64(set.Val)
		case http2.SettingMaxFrameSize:
			c.most = min(int(set.Val), 16<<10) // so that all clients get the same frames
		case http2.SettingHeaderTableSize:
			c.encoder.SetMaxDynamicTableSizeLimit(set.Val)
		}
		return nil
	})
	c.sendLocked(nil, func() { c.writer.WriteSettingsAck() })
}

// fieldsOf returns fields in an order that says nothing about their order.
func fieldsOf(f *http2.MetaHeadersFrame) string {
	var lines []string
	for _, field := range f.Fields {
		lines = append(lines, field.Name+": "+field.Value)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

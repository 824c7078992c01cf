package differential_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/peerpool/peerpool/internal/testkit"
	"golang.org/x/net/http2"
)

// sender is a server that sends DATA as far as the client's windows allow, and reads what the client says of them. It
// does its own bookkeeping, beside that of a conn.
type sender struct {
	c       *testkit.Peer
	mu      sync.Mutex // guards what follows
	changed sync.Cond
	conn    int64 // windows
	streams map[uint32]int64
	initial int64
	resets  map[uint32]http2.ErrCode
	heads   []uint32 // streams of requests that nobody has taken
	gone    bool
	lag     time.Duration // between the arrival of a frame and its being heeded
}

// send takes over the connection: a goroutine reads it until it ends.
func send(c *testkit.Peer, lag time.Duration) *sender {
	s := &sender{
		c: c, conn: 65535, initial: 65535, streams: map[uint32]int64{}, resets: map[uint32]http2.ErrCode{}, lag: lag,
	}
	s.changed.L = &s.mu
	go s.read()
	return s
}

func (s *sender) read() {
	// The answers have a framer of their own, because the test writes frames of c meanwhile. s.mu guards its writes.
	framer := http2.NewFramer(s.c.Nc, s.c.Nc)
	framer.SetMaxReadFrameSize(1<<24 - 1)
	if _, err := io.ReadFull(s.c.Nc, make([]byte, len(http2.ClientPreface))); err != nil {
		s.heed(func() { s.gone = true })
		return
	}
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			s.heed(func() { s.gone = true })
			return
		}
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.HeadersFrame:
			s.heed(func() { s.streams[id] = s.initial; s.heads = append(s.heads, id) })
		case *http2.WindowUpdateFrame:
			n := int64(f.Increment)
			s.later(func() {
				if id == 0 {
					s.conn += n
				} else {
					s.streams[id] += n
				}
			})
		case *http2.RSTStreamFrame:
			code := f.ErrCode
			s.later(func() { s.resets[id] = code })
		case *http2.SettingsFrame:
			if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
				s.heed(func() { s.initial = int64(v) })
			}
			if !f.IsAck() {
				s.later(func() { _ = framer.WriteSettingsAck() }) // a broken connection shows when it is read
			}
		case *http2.PingFrame:
			if data := f.Data; !f.IsAck() {
				s.later(func() { _ = framer.WritePing(true, data) })
			}
		}
	}
}

func (s *sender) heed(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.changed.Broadcast()
}

// later handles what the client sends, half a round trip later.
func (s *sender) later(f func()) {
	if s.lag == 0 {
		s.heed(f)
		return
	}
	time.AfterFunc(s.lag, func() { s.heed(f) })
}

// next waits for a request and returns its stream, on which a head has been sent.
func (s *sender) next() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.heads) == 0 && !s.gone {
		s.changed.Wait()
	}
	if s.gone {
		return 0
	}
	id := s.heads[0]
	s.heads = s.heads[1:]
	s.c.Head(id, 200, false)
	return id
}

// errReset says that the client has reset the stream.
var errReset = errors.New("reset")

// aFrame is as much DATA as goes into one frame.
var aFrame = strings.Repeat("d", 16<<10)

// data sends n bytes of DATA, as the windows allow. Between frames it pauses for as long as a link of rate bytes a second
// needs for them, if rate is not 0. It returns how many were sent, when the stream or the connection has ended.
func (s *sender) data(id uint32, n int, rate int, end bool) (sent int, err error) {
	most := len(aFrame)
	for sent < n {
		s.mu.Lock()
		for s.conn <= 0 || s.streams[id] <= 0 {
			if _, reset := s.resets[id]; reset {
				s.mu.Unlock()
				return sent, errReset
			}
			if s.gone {
				s.mu.Unlock()
				return sent, io.EOF
			}
			s.changed.Wait()
		}
		if _, reset := s.resets[id]; reset {
			s.mu.Unlock()
			return sent, errReset
		}
		k := min(most, n-sent, int(s.conn), int(s.streams[id]))
		s.conn -= int64(k)
		s.streams[id] -= int64(k)
		sent += k
		s.c.Data(id, aFrame[:k], end && sent == n)
		s.mu.Unlock()
		if rate > 0 {
			time.Sleep(time.Duration(k) * time.Second / time.Duration(rate))
		}
	}
	return sent, nil
}

// window returns what is left of a stream's window, or of the connection's.
func (s *sender) window(id uint32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 {
		return s.conn
	}
	return s.streams[id]
}

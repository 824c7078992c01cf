package differential_test

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// pattern is what the bodies of an exchange consist of: another text for each, and at each place in it.
func pattern(who, from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := from + i
		b[i] = byte('a' + (at+at/26+at/677+who)%26)
	}
	return b
}

// zipped is such a body, compressed.
func zipped(who, n int) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(pattern(who, 0, n))
	w.Close()
	return b.Bytes()
}

// instant is a pause in which every other goroutine runs until it waits.
const instant = 1

// play does the steps of the exchange with the number who, on the stream id.
func (c *serverConn) play(id uint32, st *serverStream, who int, steps []step) {
	p := &player{c, id, st, who, 0}
	time.Sleep(instant)
	for _, s := range steps {
		time.Sleep(s.after)
		verbs[s.verb](p, s)
	}
}

// player is a stream whose steps are being done.
type player struct {
	*serverConn
	id   uint32
	st   *serverStream
	who  int
	sent int // bytes of the body
}

// write writes frames on the stream, unless either side has reset it.
func (p *player) write(s step, frames func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sendLocked(s.cuts, frames)
}

// verbs are the kinds of steps.
var verbs map[string]func(p *player, s step)

func init() {
	verbs = map[string]func(p *player, s step){
		"head": func(p *player, s step) { p.write(s, func() { p.headers(s, s.n) }) },
		// Without a :status.
		"fields": func(p *player, s step) { p.write(s, func() { p.headers(s, 0) }) },
		"data":   func(p *player, s step) { p.data(s, pattern(p.who, p.sent, s.n)); p.sent += s.n },
		"zipped": func(p *player, s step) { p.data(s, zipped(p.who, s.n)) },
		// DATA whatever the windows say, and on whatever stream.
		"loose": func(p *player, s step) {
			p.write(s, func() { p.writer.WriteData(p.id, s.end, pattern(p.who, p.sent, s.n)) })
		},
		"reset": func(p *player, s step) {
			p.write(s, func() { p.writer.WriteRSTStream(p.id, http2.ErrCode(s.n)) })
			p.srv.mu.Lock()
			p.st.broken = true
			p.srv.mu.Unlock()
		},
		"grant":    func(p *player, s step) { p.write(s, func() { p.writer.WriteWindowUpdate(p.id, uint32(s.n)) }) },
		"connwin":  func(p *player, s step) { p.write(s, func() { p.writer.WriteWindowUpdate(0, uint32(s.n)) }) },
		"ping":     func(p *player, s step) { p.write(s, func() { p.writer.WritePing(false, [8]byte{'p', byte(s.n)}) }) },
		"pong":     func(p *player, s step) { p.write(s, func() { p.writer.WritePing(true, [8]byte{'q', byte(s.n)}) }) },
		"settings": func(p *player, s step) { p.write(s, func() { p.writer.WriteSettings(s.set...) }) },
		"goaway":   func(p *player, s step) { p.goAway(s) },
		"close":    func(p *player, s step) { p.hangUp() },
		// Waits for n bytes of the request's body, or for all of it.
		"await": func(p *player, s step) { p.await(s.n) },
		// A frame of any type on the stream, or on the connection.
		"frame": func(p *player, s step) {
			p.write(s, func() { p.writer.WriteRawFrame(http2.FrameType(s.n), http2.Flags(s.pad), p.id, payload(s)) })
		},
		"connframe": func(p *player, s step) {
			p.write(s, func() { p.writer.WriteRawFrame(http2.FrameType(s.n), http2.Flags(s.pad), 0, payload(s)) })
		},
	}
}

func payload(s step) []byte { return []byte(strings.Join(s.fields, "")) }

// headers writes fields, and a :status unless that is 0.
func (p *player) headers(s step, status int) {
	p.block.Reset()
	if status != 0 {
		p.encoder.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	}
	for _, f := range s.fields {
		name, value, _ := strings.Cut(f[1:], ":")
		p.encoder.WriteField(hpack.HeaderField{Name: f[:1] + name, Value: strings.TrimPrefix(value, " ")})
	}
	block, first := p.block.Bytes(), true
	for first || len(block) > 0 {
		n := min(len(block), 16<<10-256)
		if s.verb == "fields" && n > 3 && first {
			n /= 2 // a CONTINUATION for little
		}
		part := block[:n]
		block = block[n:]
		if first {
			p.writer.WriteHeaders(http2.HeadersFrameParam{
				StreamID: p.id, BlockFragment: part, EndStream: s.end, EndHeaders: len(block) == 0, PadLength: uint8(s.pad),
			})
		} else {
			p.writer.WriteContinuation(p.id, len(block) == 0, part)
		}
		first = false
	}
}

// data writes DATA as far as the client's windows allow, and waits for more of them. It gives up if nobody wants it.
func (p *player) data(s step, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for first := true; first || len(b) > 0; first = false {
		room := func() int { return int(min(p.window, p.st.window, int64(p.most))) }
		for !p.closed && p.st.reset == "" && room() < min(len(b), 1)+s.pad {
			p.changed.Wait()
		}
		if p.closed || p.st.reset != "" {
			return
		}
		n := min(len(b), room()-s.pad)
		part := b[:n]
		b = b[n:]
		end := s.end && len(b) == 0
		took := int64(n)
		p.sendLocked(s.cuts, func() {
			if s.pad == 0 {
				p.writer.WriteData(p.id, end, part)
				return
			}
			took += int64(s.pad)
			p.writer.WriteDataPadded(p.id, end, part, make([]byte, s.pad-1))
		})
		p.window -= took
		p.st.window -= took
	}
}

// goAway says that streams after this one, or from this one on, or none, are not processed.
func (p *player) goAway(s step) {
	last := p.id
	switch s.fields[0] {
	case "before":
		last -= 2
		if last > 1<<31 {
			last = 0
		}
	case "all":
		last = 1<<31 - 1
	}
	p.write(s, func() { p.writer.WriteGoAway(last, http2.ErrCode(s.n), nil) })
}

// hangUp closes the connection after what has been written.
func (p *player) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.out <- segment{close: true}
	}
}

// await waits for n bytes of the request's body, or for its end if n is 0.
func (p *player) await(n int) {
	defer time.Sleep(instant) // without the lock
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && p.st.reset == "" && !p.st.ended && (n == 0 || len(p.st.body) < n) {
		p.changed.Wait()
	}
}

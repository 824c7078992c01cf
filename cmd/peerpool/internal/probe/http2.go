package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2 holds the findings over HTTP/2.
type HTTP2 struct {
	Status int `json:"status"`

	// MaxStreams is the server's SETTINGS_MAX_CONCURRENT_STREAMS, or -1 if the server sets no limit.
	MaxStreams int64 `json:"max_concurrent_streams"`

	// MaxHeaderList is its SETTINGS_MAX_HEADER_LIST_SIZE in bytes, or 0 if the server does not send it.
	MaxHeaderList int64 `json:"max_header_list_size,omitempty"`

	// PingsTolerated reports whether the server answered pings on a quiet connection, one every PingSeconds.
	PingsTolerated bool    `json:"pings_tolerated"`
	PingSeconds    float64 `json:"ping_seconds"`
	Pings          int     `json:"pings"` // answered

	// GoAway is the code with which the server ended the connection meanwhile, or "" if it did not.
	GoAway string `json:"goaway,omitempty"`

	// Idle is nil if it was not measured.
	Idle *Idle `json:"idle,omitempty"`
}

const (
	pings     = 6
	pingEvery = 500 * time.Millisecond
)

// overHTTP2 sends one request over HTTP/2 if the server speaks it, and then pings the quiet connection a few times.
func (p *prober) overHTTP2(ctx context.Context) error {
	c, err := p.openFramed(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	found := c.found
	p.report.HTTP2 = found
	for range pings {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pingEvery):
		}
		if err := c.ping(); err != nil {
			found.PingsTolerated = found.GoAway == http2.ErrCodeNo.String() // this is the idle limit, which is measured later
			return nil
		}
		found.Pings++
	}
	found.PingsTolerated = true
	return nil
}

// idleLimitHTTP2 waits for the server to end an HTTP/2 connection that has served a request.
func (p *prober) idleLimitHTTP2(ctx context.Context) error {
	c, err := p.openFramed(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	begun := time.Now()
	if err := c.SetDeadline(begun.Add(p.MaxWait)); err != nil {
		return err
	}
	err = c.readUntil(func(http2.Frame) bool { return false })
	age, end := time.Since(begun), "FIN"
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		end = ""
		if c.ping() != nil {
			end = silence // the true limit is lower than the wait
		}
	case errors.Is(err, errGoAway):
		end = "GOAWAY"
	case errors.Is(err, syscall.ECONNRESET):
		end = "RST"
	}
	p.report.HTTP2.Idle = newIdle(age, p.MaxWait, end)
	return nil
}

// openFramed opens an HTTP/2 connection and sends one request on it.
func (p *prober) openFramed(ctx context.Context) (*framed, error) {
	nc, err := p.connect(ctx, nil, "h2")
	if err != nil {
		return nil, err
	}
	found := &HTTP2{MaxStreams: -1, PingSeconds: pingEvery.Seconds()}
	c := &framed{Conn: nc, f: http2.NewFramer(nc, nc), found: found}
	c.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err = c.start(); err == nil {
		p.report.Requests++
		if err = c.ask(p); err == nil {
			err = p.heed(found.Status)
		}
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// framed is an HTTP/2 connection that carries one request.
type framed struct {
	net.Conn
	f     *http2.Framer
	found *HTTP2
}

var errGoAway = errors.New("the server has closed the connection with GOAWAY")

func (c *framed) start() error {
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return err
	}
	return c.f.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0})
}

// ask sends a HEAD on stream 1 and reads until it is answered.
func (c *framed) ask(p *prober) error {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "HEAD"}, {":scheme", p.URL.Scheme}, {":authority", p.URL.Host}, {":path", p.URL.RequestURI()},
		{"user-agent", userAgent}, {"accept", "*/*"},
	} {
		if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	err := c.f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
	})
	if err != nil {
		return err
	}
	return c.readUntil(func(f http2.Frame) bool {
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if status, err := strconv.Atoi(f.PseudoValue("status")); err == nil { // a trailer has none
				c.found.Status = status
			}
			return f.StreamEnded()
		case *http2.DataFrame: // empty; some servers end the stream with it
			return f.StreamEnded()
		}
		return false
	})
}

// ping sends a ping and reads frames until it is answered.
func (c *framed) ping() error {
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if err := c.f.WritePing(false, [8]byte{1}); err != nil {
		return err
	}
	return c.readUntil(func(f http2.Frame) bool {
		pong, ok := f.(*http2.PingFrame)
		return ok && pong.IsAck()
	})
}

// readUntil reads frames until done, and notes what they tell about the server.
func (c *framed) readUntil(done func(http2.Frame) bool) error {
	for {
		f, err := c.f.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if err := c.heedSettings(f); err != nil {
				return err
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				if err := c.f.WritePing(true, f.Data); err != nil {
					return err
				}
			}
		case *http2.GoAwayFrame:
			c.found.GoAway = f.ErrCode.String()
			return errGoAway
		case *http2.RSTStreamFrame:
			return http2.StreamError{StreamID: f.StreamID, Code: f.ErrCode}
		}
		if done(f) {
			return nil
		}
	}
}

func (c *framed) heedSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if v, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
		c.found.MaxStreams = int64(v)
	}
	if v, ok := f.Value(http2.SettingMaxHeaderListSize); ok {
		c.found.MaxHeaderList = int64(v)
	}
	return c.f.WriteSettingsAck()
}

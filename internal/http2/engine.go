// Package http2 runs exchanges on HTTP/2 connections (RFC 9113) that others have opened and others pool. The
// protocol itself is golang.org/x/net/http2, which only this package imports: one [Engine] for a configuration, one
// [Conn] for a connection, one [Exchange] for a request.
//
// What x/net keeps to itself is observed rather than asked for: the frames that pass by tell the number of streams
// that the server allows, its GOAWAY, and when it was last heard. So the package never holds a lock while it calls
// x/net, and needs no more of it than making a connection, a round trip, a ping and a close.
package http2

//lint:file-ignore SA1019 x/net/http2 is deprecated in favor of the copy inside net/http, which offers no way to make a connection of a net.Conn; it is kept up with the same fixes, and earlier

import (
	"math"
	"net/http"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

const (
	defaultPingAfter   = 15 * time.Second // SendPingTimeout
	defaultPingTimeout = 15 * time.Second

	// checkTimeout bounds the ping before a reuse, for which a request waits.
	checkTimeout = 2 * time.Second

	// initialStreams is how many streams a connection serves before its server has said how many, if it has not said
	// so on another one; RFC 9113 section 6.5.2 recommends that it is no less. It refuses what is beyond.
	initialStreams = 100
	// defaultStreams is how many streams a connection serves whose server sets no limit.
	defaultStreams = 1000
)

// Config is what a Transport says about HTTP/2.
type Config struct {
	HTTP2                  *http.HTTP2Config // nil: its zero value
	ResponseHeaderTimeout  time.Duration
	ExpectContinueTimeout  time.Duration
	DisableCompression     bool
	MaxResponseHeaderBytes int64
	MaxStreams             int // of a connection at a time, if the server does not allow less; 0: what it allows
}

// Engine makes connections. It is safe for concurrent use.
type Engine struct {
	t           *xhttp2.Transport
	maxStreams  int
	strict      bool
	pingAfter   time.Duration // negative: never
	pingTimeout time.Duration
	timed       bool // writes have a deadline
}

// New returns an Engine.
func New(c Config) (*Engine, error) {
	settings := http.HTTP2Config{}
	if c.HTTP2 != nil {
		settings = *c.HTTP2
	}
	e := &Engine{
		maxStreams:  c.MaxStreams,
		strict:      settings.StrictMaxConcurrentRequests,
		pingAfter:   settings.SendPingTimeout,
		pingTimeout: settings.PingTimeout,
		timed:       settings.WriteByteTimeout > 0,
	}
	if e.pingAfter == 0 {
		e.pingAfter = defaultPingAfter
	}
	if e.pingTimeout <= 0 {
		e.pingTimeout = defaultPingTimeout
	}
	// A request that finds the server's limit reached waits in the connection for the moment that a stream which has
	// just ended takes to be cleared away; without this x/net would refuse it.
	settings.StrictMaxConcurrentRequests = true
	settings.SendPingTimeout = 0 // the pings are ours: see ping.go
	settings.PingTimeout = 0
	var err error
	e.t, err = xhttp2.ConfigureTransports(&http.Transport{
		HTTP2:                 &settings,
		ResponseHeaderTimeout: c.ResponseHeaderTimeout,
		ExpectContinueTimeout: c.ExpectContinueTimeout,
		DisableCompression:    c.DisableCompression,
	})
	if err != nil {
		return nil, err
	}
	e.t.MaxHeaderListSize = uint32(min(max(0, c.MaxResponseHeaderBytes), math.MaxUint32))
	return e, nil
}

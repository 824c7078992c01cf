package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

const (
	// userAgent tells the operator of a server which program sends the requests, and why.
	userAgent = "peerpool-probe/1 (measures keep-alive limits; github.com/peerpool/peerpool)"

	// answerTime limits the wait for one answer, and for a connection.
	answerTime = 10 * time.Second
)

// Options say what to probe and how far to go.
type Options struct {
	URL *url.URL

	// MaxWait limits the wait for the server to close an idle connection. The report says so if the server waits longer.
	MaxWait time.Duration

	// MaxRequests limits the number of requests on one connection in the search for the server's limit.
	MaxRequests int

	// TLS is the configuration for https. Nil means the default one.
	TLS *tls.Config

	// Dial opens connections. Nil means those of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Progress, if it is not nil, is called with what is measured next and how long that can take.
	Progress func(what string, atMost time.Duration)
}

// Report holds the findings of a probe. The part of a step that could not be measured is nil.
type Report struct {
	URL       string    `json:"url"`
	Addresses []Address `json:"addresses"`
	TLS       *TLS      `json:"tls,omitempty"`
	HTTP1     *HTTP1    `json:"http1,omitempty"`
	HTTP2     *HTTP2    `json:"http2,omitempty"`
	Requests  int       `json:"requests"` // sent in all
	Stopped   string    `json:"stopped,omitempty"`
	Settings  []Setting `json:"settings"`
}

// ErrUnwelcome is the error of a probe that stopped because the server has asked clients to stay away.
var ErrUnwelcome = errors.New("the server does not want to be probed")

// prober is one run of a probe.
type prober struct {
	Options
	report   Report
	address  string // the first that answered
	answered bool   // with a status that is not a refusal
	head     bool   // further requests are HEAD
}

// Run probes a server. The report holds what was found up to an error, or up to the end of ctx.
func Run(ctx context.Context, o Options) (*Report, error) {
	p := &prober{Options: o}
	p.report.URL = o.URL.Redacted()
	err := p.run(ctx)
	if err != nil {
		p.report.Stopped = err.Error()
	}
	p.report.Settings = advise(&p.report)
	return &p.report, err
}

func (p *prober) run(ctx context.Context) error {
	always := func() bool { return true }
	http1 := func() bool { return p.speaks("http/1.1") }
	http2 := func() bool { return p.speaks("h2") }
	steps := []struct {
		what    string
		applies func() bool // depends on earlier steps
		atMost  time.Duration
		measure func(context.Context) error
	}{
		{"addresses", always, answerTime, p.reach},
		{"TLS and protocols", func() bool { return p.URL.Scheme == "https" }, 3 * answerTime, p.handshakes},
		{"an answer over HTTP/1.1", http1, answerTime, p.firstAnswer},
		{fmt.Sprintf("up to %d requests on one connection", p.MaxRequests), http1, time.Minute, p.countRequests},
		{"half-close and unused request bodies", http1, 3 * answerTime, p.manners},
		{"HTTP/2 settings and pings", http2, 2 * answerTime, p.overHTTP2},
		{"how long an HTTP/2 connection may idle", http2, p.MaxWait, p.idleLimitHTTP2},
		{"how long an HTTP/1.1 connection may idle", p.needsIdleHTTP1, p.MaxWait, p.idleLimit},
	}
	for _, step := range steps {
		if !step.applies() {
			continue
		}
		if p.Progress != nil {
			p.Progress(step.what, step.atMost)
		}
		err := step.measure(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// heed returns ErrUnwelcome if an answer asks clients to stay away.
func (p *prober) heed(status int) error {
	if status == 429 || status == 403 && p.answered {
		return fmt.Errorf("%w: status %d", ErrUnwelcome, status)
	}
	if status != 403 {
		p.answered = true
	}
	return nil
}

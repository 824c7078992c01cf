package probe

import (
	"context"
	"fmt"
	"math"
	"time"
)

// HTTP1 holds the findings over HTTP/1.1.
type HTTP1 struct {
	Status int    `json:"status"` // of the first answer
	Server string `json:"server,omitempty"`

	// KeepsAlive reports whether the server answered a second request on the same connection. If it is false and MaxRequests
	// is not 1, the probe has not found out.
	KeepsAlive bool `json:"keeps_alive"`

	// MaxRequests is the number of requests on a connection after which the server closed it. Zero means more than were
	// tried.
	MaxRequests int `json:"max_requests"`
	Tried       int `json:"requests_tried"`
	// Announced reports whether the last answer had "Connection: close", so that no request is lost.
	Announced bool `json:"max_requests_announced,omitempty"`

	// Idle is nil if it was not measured.
	Idle *Idle `json:"idle,omitempty"`

	// Hint is the Keep-Alive field of the first answer. HintTrue reports whether the server did what the field says.
	Hint     string `json:"keep_alive_hint,omitempty"`
	HintTrue *bool  `json:"keep_alive_hint_true,omitempty"`

	// DrainsBodies reports whether a connection continues after a request whose body the server did not need.
	DrainsBodies *bool `json:"drains_bodies,omitempty"`
	// HalfClose reports whether the server answers a client that has closed its side of the connection.
	HalfClose *bool `json:"half_close,omitempty"`
}

// Idle says how long the server kept an idle connection, and how it ended the connection.
type Idle struct {
	// Seconds is how long the server kept the connection. Zero means longer than the probe waited.
	Seconds float64 `json:"seconds"`
	Waited  float64 `json:"waited_seconds"`
	// End is how the connection ended: FIN, RST, GOAWAY, an unasked answer, or "silence" if the server forgot the
	// connection and sent nothing. If the connection did not end, End is "".
	End string `json:"end,omitempty"`
}

func newIdle(age, waited time.Duration, end string) *Idle {
	i := &Idle{Waited: waited.Seconds(), End: end}
	if end != "" {
		i.Seconds = math.Round(age.Seconds()*100) / 100
	}
	return i
}

// unusedBody is the size in bytes of a body that a server does not need.
const unusedBody = 8 << 10

// open returns a new connection that speaks HTTP/1.1.
func (p *prober) open(ctx context.Context) (*wire, error) {
	nc, err := p.connect(ctx, nil, "http/1.1")
	if err != nil {
		return nil, err
	}
	return newWire(nc), nil
}

// once sends one request on a new connection.
func (p *prober) once(ctx context.Context, r request) (*wire, *answer, error) {
	w, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	a, err := p.ask(w, r)
	if err != nil {
		w.Close()
		return nil, a, err
	}
	return w, a, nil
}

func (p *prober) firstAnswer(ctx context.Context) error {
	w, a, err := p.once(ctx, request{})
	if a == nil && ended(err) && p.speaks("h2") { // a server that speaks only HTTP/2 may complete the handshake
		p.report.TLS.Protocols = []string{"h2"}
		return nil
	}
	if err != nil && err != errEndless {
		return err
	}
	if w != nil {
		w.Close()
	}
	p.head = a.long
	p.report.HTTP1 = &HTTP1{Status: a.status, Server: a.server, Hint: a.keepAlive}
	return nil
}

// countRequests sends requests on one connection until the server ends it.
func (p *prober) countRequests(ctx context.Context) error {
	found := p.report.HTTP1
	w, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	for found.Tried < p.MaxRequests && ctx.Err() == nil {
		a, err := p.ask(w, request{head: p.head})
		if err != nil {
			if found.Tried == 0 || !ended(err) {
				return err
			}
			found.MaxRequests = found.Tried
			return nil
		}
		found.Tried++
		found.KeepsAlive = found.KeepsAlive || found.Tried > 1
		if a.closes {
			found.MaxRequests, found.Announced = found.Tried, true
			return nil
		}
	}
	return nil
}

// manners finds out what the server does with a body that it does not need, and with a client that has closed its side.
func (p *prober) manners(ctx context.Context) error {
	found := p.report.HTTP1
	w, a, err := p.once(ctx, request{head: p.head, halfClose: true})
	if isUnwelcome(err) {
		return err
	}
	half := err == nil && a.status < 500
	found.HalfClose = &half
	if w != nil {
		w.Close()
	}
	if !found.KeepsAlive {
		return nil
	}
	w, a, err = p.once(ctx, request{head: p.head, body: unusedBody})
	if isUnwelcome(err) {
		return err
	}
	drains := err == nil && !a.closes
	if drains {
		_, err = p.ask(w, request{head: p.head})
		drains = err == nil
	}
	found.DrainsBodies = &drains
	if w != nil {
		w.Close()
	}
	if isUnwelcome(err) {
		return err
	}
	return nil
}

// idleLimit waits for the server to close a connection that has served a request. A server may forget a connection and send
// nothing. A request at the end of the wait shows that, and a search with doubled waits then finds the limit.
func (p *prober) idleLimit(ctx context.Context) error {
	found := p.report.HTTP1
	age, end, err := p.idle(ctx, p.MaxWait)
	if err == nil && end == silence {
		age, err = p.searchSilence(ctx)
	}
	if err != nil {
		return err
	}
	found.Idle = newIdle(age, p.MaxWait, end)
	found.judgeHint()
	return nil
}

// needsIdleHTTP1 returns false if the server also speaks HTTP/2, because a Transport then uses that. It returns true all the
// same if there is a Keep-Alive field to check.
func (p *prober) needsIdleHTTP1() bool {
	found := p.report.HTTP1
	return found != nil && found.KeepsAlive && (p.report.HTTP2 == nil || found.Hint != "")
}

// silence is the end of a connection that the server, or a device in between, has forgotten.
const silence = "silence"

// idle leaves a connection idle. It returns how long the connection lived and how it ended, or "" if it still works.
func (p *prober) idle(ctx context.Context, wait time.Duration) (age time.Duration, how string, err error) {
	w, a, err := p.once(ctx, request{head: p.head})
	if err != nil {
		return 0, "", err
	}
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer stop()
	begun := time.Now()
	if a.closes {
		return 0, "FIN", nil
	}
	how, err = w.awaitClose(wait)
	age = time.Since(begun)
	if ctx.Err() != nil {
		return 0, "", context.Cause(ctx)
	}
	if err != nil || how != "" {
		return age, how, err
	}
	if _, err := p.ask(w, request{head: p.head}); isUnwelcome(err) {
		return 0, "", err
	} else if err != nil {
		return age, silence, nil
	}
	return age, "", nil
}

// searchSilence finds the idle time after which the server forgets a connection. It doubles the wait, from a second on, until
// a connection is gone. Then it halves the interval until that is a tenth of the limit.
func (p *prober) searchSilence(ctx context.Context) (time.Duration, error) {
	alive, gone := time.Duration(0), p.MaxWait
	for wait := time.Second; wait < p.MaxWait; wait *= 2 {
		_, how, err := p.idle(ctx, wait)
		if err != nil {
			return 0, err
		}
		if how != "" {
			gone = wait
			break
		}
		alive = wait
	}
	for gone-alive > max(gone/10, 100*time.Millisecond) {
		middle := (alive + gone) / 2
		_, how, err := p.idle(ctx, middle)
		if err != nil {
			return 0, err
		}
		if how != "" {
			gone = middle
		} else {
			alive = middle
		}
	}
	return alive, nil
}

// judgeHint compares the Keep-Alive field with what the server did.
func (h *HTTP1) judgeHint() {
	timeout, limit := hints(h.Hint)
	if timeout < 0 && limit < 0 {
		return
	}
	is := true
	if timeout >= 0 && h.Idle.End != "" {
		is = is && h.Idle.Seconds >= float64(timeout)-0.5
	}
	if limit >= 0 && h.MaxRequests > 0 {
		is = is && h.MaxRequests >= limit
	}
	h.HintTrue = &is
}

func seconds(s float64) string { return fmt.Sprintf("%.4g s", s) }

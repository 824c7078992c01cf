package probe

import (
	"context"
	"fmt"
	"math"
	"time"
)

// HTTP1 is what was found over HTTP/1.1.
type HTTP1 struct {
	Status int    `json:"status"` // of the first answer
	Server string `json:"server,omitempty"`

	// KeepsAlive says that a second request was answered on the first one's connection.
	KeepsAlive bool `json:"keeps_alive"`

	// MaxRequests is how many requests a connection carried before the server closed it; 0: more than were tried.
	MaxRequests int `json:"max_requests"`
	Tried       int `json:"requests_tried"`
	// Announced says that the last answer said "Connection: close", so that no request is lost.
	Announced bool `json:"max_requests_announced,omitempty"`

	// Idle is nil if it was not measured.
	Idle *Idle `json:"idle,omitempty"`

	// Hint is the Keep-Alive field of the first answer. HintTrue says whether the server did what it says.
	Hint     string `json:"keep_alive_hint,omitempty"`
	HintTrue *bool  `json:"keep_alive_hint_true,omitempty"`

	// DrainsBodies says that a connection goes on after a request whose body the server had no use for.
	DrainsBodies *bool `json:"drains_bodies,omitempty"`
	// HalfClose says that a client that has closed its side is still answered.
	HalfClose *bool `json:"half_close,omitempty"`
}

// Idle is what became of a connection that was left alone after an answer.
type Idle struct {
	// Seconds is how long the server kept it; 0: longer than was waited.
	Seconds float64 `json:"seconds"`
	Waited  float64 `json:"waited_seconds"`
	// End is how it ended: FIN, RST, GOAWAY, an unasked answer, or "silence" for a connection that was forgotten
	// without a word; "": it did not.
	End string `json:"end,omitempty"`
}

func newIdle(age, waited time.Duration, end string) *Idle {
	i := &Idle{Waited: waited.Seconds(), End: end}
	if end != "" {
		i.Seconds = math.Round(age.Seconds()*100) / 100
	}
	return i
}

// unusedBody is the size in bytes of a body that a server has no use for.
const unusedBody = 8 << 10

// open returns a new connection that speaks HTTP/1.1.
func (p *prober) open(ctx context.Context) (*wire, error) {
	nc, err := p.connect(ctx, nil, "http/1.1")
	if err != nil {
		return nil, err
	}
	return newWire(nc), nil
}

// once asks once, on a connection of its own.
func (p *prober) once(ctx context.Context, r request) (*wire, *answer, error) {
	w, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	a, err := p.ask(w, r)
	if err != nil {
		w.Close()
		return nil, nil, err
	}
	return w, a, nil
}

func (p *prober) firstAnswer(ctx context.Context) error {
	w, a, err := p.once(ctx, request{})
	if err != nil && ended(err) && p.speaks("h2") { // a server of HTTP/2 alone may shake hands all the same
		p.report.TLS.Protocols = []string{"h2"}
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
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

// manners finds out what the server does with a body it has no use for, and with a client that has said all it has to say.
func (p *prober) manners(ctx context.Context) error {
	found := p.report.HTTP1
	w, a, err := p.once(ctx, request{halfClose: true})
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
	w, a, err = p.once(ctx, request{body: unusedBody})
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

// idleLimit waits for the server to close a connection that has served a request. A server that says nothing when it
// forgets a connection is found out with a request at the end; then the limit is searched by doubling.
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

// needsIdleHTTP1 is false if the server speaks HTTP/2 as well, which is what a Transport uses then, unless there is a
// Keep-Alive field to be judged.
func (p *prober) needsIdleHTTP1() bool {
	found := p.report.HTTP1
	return found != nil && found.KeepsAlive && (p.report.HTTP2 == nil || found.Hint != "")
}

// silence is how a connection ends that a server, or what stands between, has forgotten.
const silence = "silence"

// idle lets a connection idle and says how long it lived and how it ended; "": it serves still.
func (p *prober) idle(ctx context.Context, wait time.Duration) (age time.Duration, how string, err error) {
	w, a, err := p.once(ctx, request{})
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

// searchSilence finds the age at which a connection is forgotten: it doubles the wait from a second on until a
// connection is gone, then halves the interval until that is a tenth of the limit.
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

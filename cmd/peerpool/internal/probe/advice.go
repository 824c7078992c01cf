package probe

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Setting is a field of a Transport, with the value to set in Go, and the reason.
type Setting struct {
	Field  string `json:"field"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

func isUnwelcome(err error) bool { return errors.Is(err, ErrUnwelcome) }

// advise turns findings into settings. It returns none where the default is right.
func advise(r *Report) []Setting {
	settings := []Setting{}
	add := func(field, value, format string, args ...any) {
		settings = append(settings, Setting{field, value, fmt.Sprintf(format, args...)})
	}
	if h := r.HTTP1; h != nil && h.MaxRequests == 1 && r.HTTP2 == nil {
		add("DisableKeepAlives", "true", "the server closes every connection after one request")
		return settings
	}
	if i := r.idle(); i != nil && i.End != "" {
		add("IdleConnTimeout", duration(margin(i.Seconds)),
			"the server ends an idle connection after %s (%s); a tenth less leaves a request time to arrive", seconds(i.Seconds), i.End)
	} else if i != nil {
		add("IdleConnTimeout", duration(time.Duration(i.Waited*float64(time.Second))),
			"the server kept an idle connection for %s; the probe did not wait longer", seconds(i.Waited))
	}
	if h := r.HTTP1; h != nil && h.MaxRequests > 1 {
		how := "without announcing it"
		if h.Announced {
			how = `and says so with "Connection: close"`
		}
		add("MaxConnReuse", fmt.Sprint(h.MaxRequests-1), "the server ends a connection after %d requests, %s", h.MaxRequests, how)
	}
	if h := r.HTTP2; h != nil {
		if !h.PingsTolerated {
			add("HTTP2", "&http.HTTP2Config{SendPingTimeout: 5 * time.Minute}",
				"the server ends a quiet connection that is pinged every %s (%s)", seconds(h.PingSeconds), orSilence(h.GoAway))
		}
		if h.MaxStreams >= 0 && h.MaxStreams < 16 {
			add("MaxConnsPerHost", "0", "the server allows %d requests at a time on an HTTP/2 connection, so a limit on connections limits requests", h.MaxStreams)
		}
	}
	return settings
}

// idle returns what was found on the protocol that a Transport uses.
func (r *Report) idle() *Idle {
	switch {
	case r.HTTP2 != nil:
		return r.HTTP2.Idle
	case r.HTTP1 != nil:
		return r.HTTP1.Idle
	}
	return nil
}

func orSilence(code string) string {
	if code == "" {
		return "without GOAWAY"
	}
	return "GOAWAY " + code
}

// margin returns nine tenths of a limit, and at least a millisecond, because zero would mean no limit.
func margin(limit float64) time.Duration {
	d := time.Duration(limit * 0.9 * float64(time.Second))
	if d > time.Second {
		return d.Truncate(100 * time.Millisecond)
	}
	return max(d.Truncate(10*time.Millisecond), time.Millisecond)
}

// duration returns d as Go code.
func duration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%d * time.Second", d/time.Second)
	}
	return fmt.Sprintf("%d * time.Millisecond", d/time.Millisecond)
}

// GoCode returns the settings as a Transport in Go.
func (r *Report) GoCode() string {
	var b strings.Builder
	b.WriteString("t := peerpool.New()\n")
	for _, s := range r.Settings {
		fmt.Fprintf(&b, "t.%s = %s\n", s.Field, s.Value)
	}
	return b.String()
}

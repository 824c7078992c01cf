package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/peerpool/peerpool"
)

// witness counts the events of a Transport by identity. Stats cannot be used for that, because it has no identity without
// a connection. The number of identities is bounded by the number of addresses that the URLs have.
type witness struct {
	telling bool // keep a story of the events, for a single request

	mu         sync.Mutex // guards the fields below; only functions of this file are called while it is held
	identities map[peerpool.Identity]*identityUse
	protocols  map[string]*protocolUse
	tls        tlsUse
	story      []string
}

// protocolUse counts what happened over one protocol.
type protocolUse struct {
	Responses   uint64 `json:"responses"`
	Connections uint64 `json:"connections"`
	MostAtOnce  int    `json:"most_at_once"` // requests on one connection
}

// tlsUse counts the TLS handshakes with the servers.
type tlsUse struct {
	Handshakes uint64            `json:"handshakes"` // successful ones
	Resumed    uint64            `json:"resumed"`    // those among them that resumed a session
	Failed     uint64            `json:"failed"`
	Versions   map[string]uint64 `json:"versions"` // successful handshakes by version
}

// identityUse counts what happened under one identity.
type identityUse struct {
	Requests     uint64 `json:"requests"` // a request that was sent again counts once, for its last attempt
	Connections  uint64 `json:"connections"`
	Hits         uint64 `json:"hits"` // attempts that found an idle connection
	DialFailures uint64 `json:"dial_failures"`

	// ConnectFailures counts failed connects to one of several addresses of a host. The dial may have succeeded with
	// another address.
	ConnectFailures uint64 `json:"connect_failures"`
}

func newWitness(telling bool) *witness {
	return &witness{
		telling: telling, identities: make(map[peerpool.Identity]*identityUse),
		protocols: make(map[string]*protocolUse), tls: tlsUse{Versions: make(map[string]uint64)},
	}
}

// observer returns the hooks. A dial that outlives its request may call them after the last request has ended.
func (w *witness) observer() *peerpool.Observer {
	return &peerpool.Observer{AcquireDone: w.acquired, DialDone: w.dialed, RequestRetry: w.retried, AttemptDone: w.done, ConnectFailed: w.connectFailed}
}

// over returns the use of a protocol. The caller holds mu.
func (w *witness) over(protocol string) *protocolUse {
	use := w.protocols[protocol]
	if use == nil {
		use = &protocolUse{}
		w.protocols[protocol] = use
	}
	return use
}

// see counts an event, and adds it to the story if there is one.
func (w *witness) see(id peerpool.Identity, count func(*identityUse), tell func() string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	use := w.identities[id]
	if use == nil {
		use = &identityUse{}
		w.identities[id] = use
	}
	count(use)
	if w.telling {
		w.story = append(w.story, tell())
	}
}

func (w *witness) acquired(_ context.Context, e peerpool.AcquireDone) {
	w.see(e.Identity, func(use *identityUse) {
		if e.Err != nil {
			return
		}
		use.Requests++
		if e.Miss == "" {
			use.Hits++
		}
		over := w.over(e.Protocol)
		over.MostAtOnce = max(over.MostAtOnce, e.Requests)
	}, func() string { return acquiredText(e) })
}

func acquiredText(e peerpool.AcquireDone) string {
	switch {
	case e.Err != nil:
		return "no connection: " + errorText(e.Err)
	case e.Miss == "":
		return fmt.Sprintf("an idle connection, used %s before, idle for %s", times(e.Uses), brief(e.Idle))
	case e.Reused:
		return fmt.Sprintf("a released connection (%s), used %s before, after %s", e.Miss, times(e.Uses), brief(e.Waited))
	}
	return fmt.Sprintf("a new connection (%s) after %s", e.Miss, brief(e.Waited))
}

func (w *witness) dialed(_ context.Context, e peerpool.DialDone) {
	w.see(e.Identity, func(use *identityUse) {
		if e.Err == nil {
			use.Connections++
			w.over(e.Protocol).Connections++
		} else {
			use.DialFailures++
		}
		w.tls.count(e)
	}, func() string { return dialedText(e) })
}

func (w *witness) connectFailed(_ context.Context, e peerpool.ConnectFailed) {
	w.see(e.Identity, func(use *identityUse) { use.ConnectFailures++ }, func() string {
		return fmt.Sprintf("could not connect to %s in %s: %s", e.Addr, brief(e.Duration), errorText(e.Err))
	})
}

// count counts the handshake of a dial, if it had one.
func (u *tlsUse) count(e peerpool.DialDone) {
	switch {
	case e.Hop == "tls":
		u.Failed++
	case e.Err == nil && e.Version != 0:
		u.Handshakes++
		u.Versions[tls.VersionName(e.Version)]++
		if e.Resumed {
			u.Resumed++
		}
	}
}

func dialedText(e peerpool.DialDone) string {
	var hops []string
	for _, hop := range []struct {
		name string
		took time.Duration
	}{{"resolve", e.Resolve}, {"connect", e.Connect}, {"proxy", e.Proxy}, {"TLS", e.TLS}} {
		if hop.took > 0 {
			hops = append(hops, hop.name+" "+brief(hop.took))
		}
	}
	text := "dialed "
	if e.Err != nil {
		text = "could not dial "
	}
	text += fmt.Sprintf("%s in %s (%s)", e.Identity, brief(e.Total), strings.Join(hops, ", "))
	if e.Err == nil {
		text += ", " + e.Protocol
	}
	if e.Version != 0 {
		text += ", " + tls.VersionName(e.Version)
	}
	if e.Resumed {
		text += ", TLS session resumed"
	}
	if e.Err != nil {
		text += ": " + errorText(e.Err)
	}
	return text
}

func (w *witness) retried(_ context.Context, e peerpool.RequestRetry) {
	w.see(e.Identity, func(use *identityUse) { use.Requests-- }, func() string {
		if e.Err == nil {
			return fmt.Sprintf("sent again (%s)", e.Reason)
		}
		return fmt.Sprintf("sent again (%s): %s", e.Reason, errorText(e.Err))
	})
}

func (w *witness) done(_ context.Context, e peerpool.AttemptDone) {
	w.see(e.Identity, func(*identityUse) {
		if e.Status != 0 {
			w.over(e.Protocol).Responses++
		}
	}, func() string {
		text := fmt.Sprintf("status %d", e.Status)
		if e.Status == 0 {
			text = "no response"
		}
		text += " after " + brief(e.Duration)
		if e.Close == "" {
			return text + "; connection kept"
		}
		return fmt.Sprintf("%s; connection closed: %s", text, e.Close)
	})
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// brief rounds a duration to about three digits.
func brief(d time.Duration) string {
	for unit := time.Second; unit >= time.Microsecond; unit /= 1000 {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

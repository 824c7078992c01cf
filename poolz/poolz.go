// Package poolz shows the pool of a [peerpool.Transport] on a page: what it holds and has done in total, how
// often requests have found an idle connection lately, every identity with its connections, and the last closes
// and misses with their reasons. The page is one document without external assets, works without JavaScript,
// and refreshes itself.
//
//	page := poolz.New(transport)
//	transport.Observer = page.Observer() // before the first request
//	mux.Handle("/debug/peerpool", page)
//
// A page that does not observe the Transport has the totals alone: it does not know which identity each close and miss
// belongs to, nor what happened while nobody looked.
//
// With ?format=json the same comes as JSON.
//
// The page shows no secret, yet it tells whom a program talks to: serve it where only its operators get.
package poolz

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

// source is what a Page needs of a Transport.
type source interface {
	Stats() peerpool.Stats
	Conns(peerpool.Identity) []peerpool.ConnStats
	Drain(peerpool.Identity) int
}

// Page is an [http.Handler] that shows the pool of one Transport. It starts no goroutine and keeps a bounded
// history, of the last quarter of an hour and the last few hundred events. It is safe for concurrent use.
type Page struct {
	pool     source
	drain    bool // allowed
	crossing *http.CrossOriginProtection
	seed     maphash.Seed // of the ids: see idOf
	history  history
	closes   log
	misses   log
	watching watching

	// looking guards last. It is held while a snapshot is taken, so that snapshots are compared in the order in
	// which they were taken; nothing that a Transport calls looks.
	looking sync.Mutex
	last    *peerpool.Stats // nil before the first look

	drained atomic.Pointer[drained] // the latest; nil: none
}

// drained is what somebody has drained.
type drained struct {
	At          time.Time `json:"at"`
	Identity    string    `json:"identity"`
	Connections int       `json:"connections"`
}

// Option changes what a Page does.
type Option func(*Page)

// AllowDrain puts a button on the page of each identity that takes its connections out of service: see
// [peerpool.Transport.Drain]. Requests of a browser that come from other sites are refused, but whoever can
// reach the page can press the button.
func AllowDrain() Option { return func(p *Page) { p.drain = true } }

// New returns a page for a Transport, which it does not use before the page is asked for: its fields may still be
// set.
func New(t *peerpool.Transport, opts ...Option) *Page { return newPage(t, opts) }

func newPage(pool source, opts []Option) *Page {
	p := &Page{pool: pool, crossing: http.NewCrossOriginProtection(), seed: maphash.MakeSeed()}
	for _, opt := range opts {
		opt(p)
	}
	return p
}

// Package poolz shows the pool of a [peerpool.Transport] on a web page. The page shows what the pool holds and what it has
// done in total, how often requests have recently found an idle connection, every identity with its connections, and the
// last closes and misses with their reasons. The page is one document without external assets. It works without
// JavaScript and refreshes itself.
//
//	page := poolz.New(transport)
//	transport.Observer = page.Observer() // before the first request
//	mux.Handle("/debug/peerpool", page)
//
// If the page's Observer is not set on the Transport, the page shows only totals. It then does not know to which identity
// each close and miss belongs, or what happened while the page was not requested.
//
// With the query ?format=json, the page returns the same information as JSON.
//
// The page shows no secret. It does show which servers a program talks to, so serve it only where nobody but the
// program's operators can reach it.
package poolz

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool"
)

// source is the part of a Transport that a Page uses.
type source interface {
	Stats() peerpool.Stats
	Conns(peerpool.Identity) []peerpool.ConnStats
	Drain(peerpool.Identity) int
}

// Page is an [http.Handler] that shows the pool of one Transport. It starts no goroutine. It keeps a bounded history:
// the last 15 minutes, and the last few hundred events. A Page is safe for concurrent use.
type Page struct {
	pool     source
	drain    bool // allowed
	crossing *http.CrossOriginProtection
	seed     maphash.Seed // of the ids: see idOf
	history  history
	closes   log
	misses   log
	watching watching
	failures failures

	// looking guards last. It is held while a snapshot is taken, so that snapshots are compared in the order in which
	// they were taken. No hook of the Page takes it.
	looking sync.Mutex
	last    *peerpool.Stats // nil before the first look

	drained atomic.Pointer[drained] // the latest drain; nil: none
}

// drained describes a drain.
type drained struct {
	At          time.Time `json:"at"`
	Identity    string    `json:"identity"`
	Connections int       `json:"connections"`
}

// An Option changes a Page.
type Option func(*Page)

// AllowDrain adds a button to the page of each identity. The button takes the connections of the identity out of
// service: see [peerpool.Transport.Drain]. The page refuses requests of a browser that come from other sites, but
// anyone who can reach the page can press the button.
func AllowDrain() Option { return func(p *Page) { p.drain = true } }

// New returns a Page for t. The Page does not use t before the page is requested, so the fields of t may still be
// set.
func New(t *peerpool.Transport, opts ...Option) *Page {
	return newPage(t, opts)
}

func newPage(pool source, opts []Option) *Page {
	p := &Page{pool: pool, crossing: http.NewCrossOriginProtection(), seed: maphash.MakeSeed()}
	for _, opt := range opts {
		opt(p)
	}
	return p
}

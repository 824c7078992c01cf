package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/valyala/fasthttp"
)

var connectionsSuite = suite{
	name:        "connections",
	about:       "a new connection for every request, one after the other; TLS with and without resumption",
	comparisons: connectionComparisons,
	work:        newConnectionWorker,
}

// The candidates that differ in whether they resume TLS sessions. Out of the box peerpool does, net/http does not.
const (
	oursFull       candidate = "peerpool, no tickets"
	netHTTPResumes candidate = "net/http, cache"
	bareResumes    candidate = "bare TLS, cache"
	bareFull       candidate = "bare TLS"
)

// connectionSpec is so many connections in each measurement.
type connectionSpec struct {
	TLS   bool
	Conns int
}

func connectionComparisons(short bool) []comparison {
	plain, secure := connectionSpec{Conns: 1000}, connectionSpec{TLS: true, Conns: 400}
	if short {
		plain.Conns, secure.Conns = 50, 10
	}
	columns := []string{"conncpu", "conns", "connallocs"}
	return []comparison{
		{
			name: "new connections", candidates: everyone, baseline: netHTTP, twin: again,
			metric: "conncpu", columns: columns, spec: plain,
		},
		{
			name:       "new connections, TLS 1.3",
			candidates: []candidate{netHTTP, again, ours, oursFull, netHTTPResumes, fastHTTP, bareFull, bareResumes},
			baseline:   netHTTP, twin: again, metric: "conncpu", columns: append(columns, "resumed"), spec: secure,
			targets: []target{{"conncpu", netHTTP, 0.70}, {"conncpu", netHTTPResumes, 0.95}},
		},
	}
}

// connectionWorker opens connections, each for one request.
type connectionWorker struct {
	spec    connectionSpec
	request requestSpec
	at      endpoint
	tls     *tls.Config
	one     func() error
	resumed int // of the sessions since a measurement began
}

func newConnectionWorker(j job) (worker, error) {
	spec, err := specOf[connectionSpec](j)
	if err != nil {
		return nil, err
	}
	w := &connectionWorker{
		spec: spec, at: j.Server, request: requestSpec{Method: http.MethodGet, Path: fewFields, TLS: spec.TLS},
	}
	if w.tls, err = w.config(j.Candidate); err != nil {
		return nil, err
	}
	if w.one, err = w.newConnection(j.Candidate); err != nil {
		return nil, err
	}
	for range 10 {
		if err := w.one(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// config is the candidate's: with a cache of sessions, or without, or as it comes.
func (w *connectionWorker) config(who candidate) (*tls.Config, error) {
	config, err := w.at.clientTLS()
	if err != nil {
		return nil, err
	}
	switch who {
	case oursFull:
		config.SessionTicketsDisabled = true
	case netHTTPResumes, bareResumes:
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return config, nil
}

func (w *connectionWorker) newConnection(who candidate) (func() error, error) {
	switch who {
	case bare, bareFull, bareResumes:
		return w.newBare()
	case fastHTTP:
		return w.newFast(), nil
	case oursFull:
		who = ours
	case netHTTPResumes:
		who = netHTTP
	}
	rt, err := newTransport(who, transportOptions{tls: w.tls, unpooled: true})
	if err != nil {
		return nil, err
	}
	return func() error { return w.exchange(rt) }, nil
}

func (w *connectionWorker) exchange(rt http.RoundTripper) error {
	req, err := w.request.newRequest(w.at)
	if err != nil {
		return err
	}
	resp, err := roundTrip(rt, req)
	if resp != nil && resp.TLS != nil && resp.TLS.DidResume {
		w.resumed++
	}
	return err
}

func (w *connectionWorker) newFast() func() error {
	client := newFastHTTP(w.tls)
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.SetRequestURI(w.request.url(w.at))
	for _, field := range requestFields {
		req.Header.Set(field[0], field[1])
	}
	req.SetConnectionClose()
	return func() error {
		err := client.Do(req, resp)
		if err == nil && resp.StatusCode() != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode())
		}
		return err
	}
}

func (w *connectionWorker) newBare() (func() error, error) {
	c := &bareClient{spec: w.request, at: w.at, tls: w.tls}
	req, err := c.requestBytes()
	if err != nil {
		return nil, err
	}
	answer := make([]byte, len(answers[fewFields]))
	return func() error {
		nc, err := c.dial()
		if err != nil {
			return err
		}
		defer nc.Close()
		if _, err := nc.Write(req); err != nil {
			return err
		}
		w.noteResumption(nc)
		_, err = io.ReadFull(nc, answer)
		return err
	}, nil
}

func (w *connectionWorker) noteResumption(nc net.Conn) {
	if secure, ok := nc.(*tls.Conn); ok && secure.ConnectionState().DidResume {
		w.resumed++
	}
}

func (w *connectionWorker) measure(order) (reading, error) {
	w.resumed = 0
	before := usageNow()
	for range w.spec.Conns {
		if err := w.one(); err != nil {
			return reading{}, err
		}
	}
	each := usageNow().since(before).perRequest(int64(w.spec.Conns))
	s := sample{"conns": each["rate"], "connallocs": each["allocs"], "resumed": 100 * float64(w.resumed) / float64(w.spec.Conns)}
	if cpu, ok := each["cpu"]; ok {
		s["conncpu"] = cpu
	}
	return reading{Values: s, Protocol: http1}, nil
}

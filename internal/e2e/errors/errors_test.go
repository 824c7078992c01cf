// Package parity holds tests that run the same scenario with net/http's Transport and with ours, through the public API,
// and compare all that a program can see of the two.
package errors_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/testkit"
)

// TestMain keeps net/http from logging what the servers of this package do wrong on purpose.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

// failures is a part of the table: for each way in which a request can fail, by name, what makes it fail so. It uses the
// Transport of the performance, and notes every error that a caller sees.
type failures map[string]func(*performance)

// performance is one run of a row, with servers of its own.
type performance struct {
	*testing.T
	ours bool

	mu    sync.Mutex // guards notes
	notes []string
}

// transport is what both Transports are.
type transport interface {
	http.RoundTripper
	CancelRequest(*http.Request)
	CloseIdleConnections()
	RegisterProtocol(scheme string, rt http.RoundTripper)
}

// use returns the Transport of the performance with that configuration.
func (p *performance) use(config *http.Transport) transport {
	tr := transport(config)
	if p.ours {
		tr = peerpool.FromHTTP(config)
	}
	p.Cleanup(tr.CloseIdleConnections)
	return tr
}

// patience is how long a request may take before it counts as one that hangs. The machine may have other work too.
const patience = time.Minute

// compare runs every row with net/http's Transport and with ours, and fails the test unless the errors that the two return
// have the same description.
func compare(t *testing.T, table failures) {
	t.Helper()
	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := &performance{}, &performance{ours: true}
			t.Run("peerpool", func(t *testing.T) { ours.T = t; row(ours) })
			for n := 0; n == 0 || n < testkit.Moods && !slices.Equal(ours.notes, theirs.notes); n++ {
				theirs = &performance{}
				t.Run("net http", func(t *testing.T) { theirs.T = t; row(theirs) })
			}
			if !slices.ContainsFunc(theirs.notes, func(s string) bool { return strings.Contains(s, "errors.Is:") }) {
				t.Error("nothing failed with net/http, so that the row shows nothing")
			}
			if !slices.Equal(ours.notes, theirs.notes) {
				a, b := differing(ours.notes, theirs.notes)
				t.Errorf("peerpool:\n\t%s\nnet/http:\n\t%s", strings.Join(a, "\n\t"), strings.Join(b, "\n\t"))
			}
		})
	}
}

// differing returns a and b from the first line to the last in which they differ.
func differing(a, b []string) ([]string, []string) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

func (p *performance) note(lines ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, lines...)
}

// fault notes the description of an error.
func (p *performance) fault(where string, err error) {
	p.Helper()
	p.note(where + ":")
	p.note(describe(err)...)
}

// get sends a GET.
func (p *performance) get(tr transport, target string) {
	p.Helper()
	p.do(tr, p.request(http.MethodGet, target, nil))
}

// do sends a request by way of an http.Client.
func (p *performance) do(tr transport, req *http.Request) {
	p.Helper()
	p.with(&http.Client{Transport: tr}, req)
}

// with sends a request and notes what fails: the request, reading the response's body, or closing it.
func (p *performance) with(client *http.Client, req *http.Request) {
	p.Helper()
	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	giveUp := time.AfterFunc(patience, func() {
		p.Error("the request hangs")
		cancel(errors.New("hung"))
	})
	defer giveUp.Stop()
	resp, err := client.Do(req.WithContext(ctx))
	p.outcome(resp, err)
}

func (p *performance) outcome(resp *http.Response, err error) {
	p.Helper()
	if err != nil {
		p.fault("no response", err)
		return
	}
	p.note(resp.Proto + " " + resp.Status)
	p.body(resp)
}

func (p *performance) body(resp *http.Response) {
	p.Helper()
	_, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		p.fault("reading the body", err)
		_, err = resp.Body.Read(make([]byte, 1))
		p.fault("reading the body again", err)
	}
	if err := resp.Body.Close(); err != nil {
		p.fault("closing the body", err)
	}
	_, err = resp.Body.Read(make([]byte, 1))
	p.fault("reading the closed body", err)
}

func (p *performance) request(method, target string, body io.Reader) *http.Request {
	p.Helper()
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		p.Fatal(err)
	}
	return req
}

// dialing returns a configuration whose connections dial opens, whatever the address.
func dialing(dial func() (net.Conn, error)) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
}

// upload returns a POST with a body of n bytes that can be read once.
func (p *performance) upload(target string, n int64) *http.Request {
	p.Helper()
	req := p.request(http.MethodPost, target, io.LimitReader(zeros{}, n))
	req.ContentLength = n
	return req
}

// saying is a handler that answers every request in the same way.
var saying = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, "ok")
})

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

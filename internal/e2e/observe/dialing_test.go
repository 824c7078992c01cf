package observe_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// dialing records what a Transport tells of its dials.
type dialing struct {
	mu        sync.Mutex // guards what follows
	dials     []peerpool.DialDone
	lookups   []peerpool.ResolveDone
	acquireds []peerpool.AcquireDone
}

func note[E any](d *dialing, all *[]E) func(context.Context, E) {
	return func(_ context.Context, e E) {
		d.mu.Lock()
		defer d.mu.Unlock()
		*all = append(*all, e)
	}
}

func (d *dialing) observer() *peerpool.Observer {
	return &peerpool.Observer{
		DialDone: note(d, &d.dials), ResolveDone: note(d, &d.lookups),
		AcquireDone: note(d, &d.acquireds),
	}
}

func TestADialThatFailsHasTheErrorTypeOfItsHopBesides(t *testing.T) {
	closed := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	closed.Close()
	resolver := new(httptestutil.Resolver)
	resolver.Fail("gone.test", &net.DNSError{Err: "no such host", Name: "gone.test", IsNotFound: true})
	for url, want := range map[string][3]string{
		"http://gone.test": {"resolve", "name_resolution_error", "host_not_found"},
		closed.URL():       {"connect", "connection_error", "connection_refused"},
	} {
		var seen dialing
		tr := &peerpool.Transport{Resolver: resolver, Observer: seen.observer()}
		if _, err := (&http.Client{Transport: tr}).Get(url); err == nil {
			t.Fatal("there is an answer")
		}
		seen.mu.Lock()
		if len(seen.dials) != 1 {
			t.Fatalf("%s: %d dials, want 1", url, len(seen.dials))
		}
		if d := seen.dials[0]; [3]string{d.Hop, string(d.ErrorType), string(d.HopErrorType)} != want {
			t.Errorf("%s: %q %q %q, want %q", url, d.Hop, d.ErrorType, d.HopErrorType, want)
		}
		for _, r := range seen.lookups {
			if r.ErrorType != "host_not_found" {
				t.Errorf("the look-up's error has the type %q", r.ErrorType)
			}
		}
		seen.mu.Unlock()
	}
}

func TestARequestTellsHowLongItWaitedForALookUpEvenIfItGetsTheConnectionOfAnother(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	_, port, _ := net.SplitHostPort(origin.Addr())
	resolver := new(httptestutil.Resolver)
	resolver.Set(t, "a.test", "127.0.0.1")
	release := resolver.Hold("a.test")
	var seen dialing
	started := make(chan struct{}, 2)
	observer := seen.observer()
	observer.RequestStart = func(context.Context, peerpool.RequestStart) { started <- struct{}{} }
	tr := &peerpool.Transport{Resolver: resolver, Observer: observer, MaxConnsPerHost: 1}
	defer tr.CloseIdleConnections()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			resp, err := (&http.Client{Transport: tr}).Get("http://a.test:" + port)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	<-started
	<-started
	release()
	wg.Wait()
	resp, err := (&http.Client{Transport: tr}).Get("http://a.test:" + port) // knows the answer
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.acquireds) != 3 || len(seen.dials) != 1 {
		t.Fatalf("%d attempts have got a connection, and there were %d dials", len(seen.acquireds), len(seen.dials))
	}
	for i, a := range seen.acquireds {
		if waited := a.Resolve > 0; a.Resolve > a.Waited || i == 2 && waited {
			t.Errorf("attempt %d has waited %v, of that %v for a look-up", i, a.Waited, a.Resolve)
		}
	}
	if seen.acquireds[0].Resolve == 0 {
		t.Error("the first attempt has not waited for the look-up")
	}
}

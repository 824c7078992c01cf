package peerpool

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/exchange"
)

func TestLimitsAreTheFieldsOfTheSameName(t *testing.T) {
	tr := filled[Transport](t)
	limits := reflect.ValueOf(tr.Limits())
	for i := range limits.NumField() {
		name := limits.Type().Field(i).Name
		field := reflect.ValueOf(tr).Elem().FieldByName(name)
		if !field.IsValid() || field.Type() != limits.Field(i).Type() {
			t.Errorf("a Transport has no field %s", name)
			continue
		}
		if limits.Field(i).IsZero() || limits.Field(i).Interface() != field.Interface() {
			t.Errorf("Limits.%s is %v, want %v", name, limits.Field(i), field)
		}
	}
}

func TestEachLimitThatIsSetIsInForceAndCloned(t *testing.T) {
	limits := filled[Limits](t)
	tr := &Transport{}
	tr.SetLimits(*limits)
	if got := tr.Limits(); got != *limits {
		t.Errorf("Limits returned %+v, want %+v", got, *limits)
	}
	if got := tr.Clone().Limits(); got != *limits {
		t.Errorf("a Clone has %+v, want %+v", got, *limits)
	}
	r := &plan{t: tr, peer: &noOptions}
	dial, _ := r.dialTimeout()
	terms := tr.terms(nil)
	total, perKey := tr.idleLimits()
	in := Limits{
		MaxIdleConns: total, MaxIdleConnsPerHost: perKey, MaxConnsPerHost: terms.MaxConns, MinIdleConnsPerHost: tr.minIdle(nil),
		IdleConnTimeout: terms.IdleTimeout, MaxConnReuse: terms.MaxReuse, MaxConnLifetime: terms.MaxLifetime,
		TLSHandshakeTimeout: r.tlsHandshakeTimeout(), DialTimeout: dial, ResponseHeaderTimeout: tr.options().open.HeaderTimeout,
		BodyReadTimeout: tr.options().open.BodyReadTimeout, BodyWriteTimeout: tr.options().open.BodyWriteTimeout,
		RetryBudget: tr.retryBudget(),
	}
	if in != *limits {
		t.Errorf("in force are %+v, want %+v", in, *limits)
	}
}

// inUse has a Transport with n connections in use to a server of a bubble, and ends their requests when told to.
func inUse(t *testing.T, tr *Transport, n int, test func(t *testing.T, letGo func(n int))) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		defer ln.Close()
		proceed := make(chan struct{})
		go func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer nc.Close()
					buf := make([]byte, 4<<10)
					for {
						if _, err := nc.Read(buf); err != nil {
							return
						}
						<-proceed
						io.WriteString(nc, httptestutil.Response("ok"))
					}
				}()
			}
		}()
		tr.DialContext = ln.Dial
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				resp, err := tr.RoundTrip(peerRequest(t, "http://a.test/", nil))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			})
		}
		synctest.Wait()
		let := 0
		letGo := func(n int) {
			for range n {
				proceed <- struct{}{}
				let++
			}
			synctest.Wait()
		}
		test(t, letGo)
		close(proceed)
		wg.Wait()
		tr.CloseIdleConnections()
	})
}

func wantConns(t *testing.T, tr *Transport, idle, active int) {
	t.Helper()
	synctest.Wait()
	if s := tr.Stats(); s.Idle != idle || s.Active != active {
		t.Errorf("%d idle and %d active connections, want %d and %d; closes %v", s.Idle, s.Active, idle, active, s.Closes)
	}
}

func TestALowerMaxConnsPerHostCutsNoRequest(t *testing.T) {
	tr := &Transport{}
	inUse(t, tr, 5, func(t *testing.T, letGo func(int)) {
		l := tr.Limits()
		l.MaxConnsPerHost = 2
		tr.SetLimits(l)
		wantConns(t, tr, 0, 5)
		letGo(2)
		wantConns(t, tr, 0, 3)
		letGo(3)
		wantConns(t, tr, 2, 0)
		if n := tr.Stats().Closes["limit_lowered"]; n != 3 {
			t.Errorf("%d connections were closed, want 3", n)
		}
	})
}

func TestALowerIdleConnTimeoutHoldsForConnectionsInUse(t *testing.T) {
	tr := &Transport{IdleConnTimeout: time.Hour}
	inUse(t, tr, 2, func(t *testing.T, letGo func(int)) {
		letGo(1)
		l := tr.Limits()
		l.IdleConnTimeout = time.Minute
		tr.SetLimits(l)
		letGo(1)
		wantConns(t, tr, 2, 0)
		time.Sleep(time.Minute + time.Second)
		wantConns(t, tr, 0, 0)
	})
}

func TestAHigherMaxConnsPerHostLetsRequestsGoOn(t *testing.T) {
	tr := &Transport{MaxConnsPerHost: 1}
	inUse(t, tr, 3, func(t *testing.T, letGo func(int)) {
		wantConns(t, tr, 0, 1)
		l := tr.Limits()
		l.MaxConnsPerHost = 2
		tr.SetLimits(l)
		wantConns(t, tr, 0, 2)
	})
}

func TestAPeersOwnLimitsStay(t *testing.T) {
	idle := time.Hour
	peer := peerNew(t, PeerOptions{IdleTimeout: &idle})
	tr := &Transport{PeerFor: func(*http.Request) (*Peer, error) { return peer, nil }}
	inUse(t, tr, 1, func(t *testing.T, letGo func(int)) {
		letGo(1)
		tr.SetLimits(Limits{IdleConnTimeout: time.Minute})
		time.Sleep(30 * time.Minute)
		wantConns(t, tr, 1, 0)
	})
}

func TestAPeerThatIsNeverPooledLiftsNoIdleLimitOfOthers(t *testing.T) {
	never := time.Duration(0)
	peer := peerNew(t, PeerOptions{IdleTimeout: &never})
	tr := &Transport{IdleConnTimeout: time.Minute}
	inUse(t, tr, 1, func(t *testing.T, letGo func(int)) {
		letGo(1)
		done := peerAsync(tr, peerRequest(t, "http://a.test/", peer))
		letGo(1)
		if err := <-done; err != nil {
			t.Error(err)
		}
		wantConns(t, tr, 1, 0)
		tr.SetLimits(tr.Limits())
		time.Sleep(time.Minute + time.Second)
		wantConns(t, tr, 0, 0)
	})
}

func TestSetLimitsBeginsAndEndsAFloor(t *testing.T) {
	tr := &Transport{IdleConnTimeout: time.Minute}
	inUse(t, tr, 1, func(t *testing.T, letGo func(int)) {
		letGo(1)
		l := tr.Limits()
		l.MinIdleConnsPerHost = 3
		tr.SetLimits(l)
		wantConns(t, tr, 3, 0)
		time.Sleep(10 * time.Minute)
		wantConns(t, tr, 3, 0)
		l.MinIdleConnsPerHost = 0
		tr.SetLimits(l)
		time.Sleep(2 * time.Minute)
		wantConns(t, tr, 0, 0)
	})
}

func TestATimeLimitThatIsSetHoldsForTheNextRequest(t *testing.T) {
	for name, over := range map[string]func(*http.Protocols, bool){"HTTP/1.1": (*http.Protocols).SetHTTP1, "HTTP/2": (*http.Protocols).SetHTTP2} {
		t.Run(name, func(t *testing.T) {
			protocols := new(http.Protocols)
			over(protocols, true)
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
				CA: httptestutil.NewCA(t), Protocols: protocols,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			})
			tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true})
			if err := tr.Warm(t.Context(), o.URL(), 1); err != nil {
				t.Fatal(err)
			}
			tr.SetLimits(Limits{ResponseHeaderTimeout: time.Millisecond})
			_, err := tr.RoundTrip(peerRequest(t, o.URL(), nil))
			if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// The options of exchanges are kept from one request to the next.
func TestATimeLimitThatIsSetHoldsAfterEarlierRequests(t *testing.T) {
	tr := &Transport{ResponseHeaderTimeout: time.Minute}
	for _, set := range []Limits{{ResponseHeaderTimeout: time.Second}, {BodyReadTimeout: 1}, {BodyWriteTimeout: 1}, {}} {
		tr.use()
		tr.options()
		tr.SetLimits(set)
		limits := exchange.Limits{
			HeaderTimeout: set.ResponseHeaderTimeout, BodyReadTimeout: set.BodyReadTimeout, BodyWriteTimeout: set.BodyWriteTimeout,
		}
		if got := tr.options().open.Limits; got != limits {
			t.Errorf("in force are %+v, want %+v", got, limits)
		}
		if first, second := tr.options(), tr.options(); first != second {
			t.Error("the options are made anew for each request")
		}
	}
}

func TestLimitsChangeUnderLoadWithoutALostRequest(t *testing.T) {
	for name, protocols := range map[string]func(*http.Protocols, bool){"HTTP/1.1": (*http.Protocols).SetHTTP1, "HTTP/2": (*http.Protocols).SetHTTP2} {
		t.Run(name, func(t *testing.T) {
			over := new(http.Protocols)
			protocols(over, true)
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: over})
			tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true, MaxConnStreams: 3})
			var stop atomic.Bool
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for !stop.Load() {
						if err := post(tr, o.URL()); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			for i := range 150 {
				tr.SetLimits(Limits{
					MaxConnsPerHost: i % 5, MaxIdleConnsPerHost: i % 3, MaxIdleConns: i % 4, MaxConnReuse: i % 7,
					MaxConnLifetime: time.Duration(i%3) * 10 * time.Millisecond, MinIdleConnsPerHost: i % 2,
				})
				time.Sleep(time.Millisecond)
			}
			stop.Store(true)
			wg.Wait()
		})
	}
}

// post sends a request that is not sent twice.
func post(rt http.RoundTripper, url string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	return nil
}

// Two hosts share two addresses, and one of the hosts has a higher limit.
// That limit then counts for the shared addresses, and for no other address of the other host.
func TestTermsOfSharedAddressesDoNotReachOtherAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 8, &Transport{MaxConnReuse: 5})
		c.tr.Resolver.(*httptestutil.Resolver).Set(t, "b.test", "192.0.2.1", "192.0.2.2")
		c.mustGet(1)
		ctx := WithPeer(t.Context(), peerNew(t, PeerOptions{MaxConnReuse: 100}))
		if err := peerTry(c.tr, peerRequest(t, "http://b.test/", nil).WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		routes := c.tr.core.routes.all()
		slices.SortFunc(routes, func(a, b *route) int { return strings.Compare(b.key.host, a.key.host) })
		counts := make(map[int]int)
		for _, terms := range c.tr.termsOf(routes) {
			counts[terms.MaxReuse]++
		}
		if counts[100] != 2 || counts[5] != 6 {
			t.Errorf("addresses by their MaxConnReuse: %v, want 2 with 100, and 6 with 5", counts)
		}
		c.tr.CloseIdleConnections()
	})
}

package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// waitInBackground looks up host and sends the error once it has one.
func waitInBackground(ctx context.Context, c *Cache, r Resolver) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := c.Lookup(ctx, r, "ip", host, ttl)
		ended <- err
	}()
	return ended
}

func TestCallersWithoutAnAnswerShareOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		r.release = make(chan struct{})
		var callers []<-chan error
		for range 10 {
			callers = append(callers, waitInBackground(t.Context(), &c, r))
		}
		synctest.Wait()
		r.wantAsked(t, 1)
		close(r.release)
		for _, ended := range callers {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		r.wantAsked(t, 1)
	})
}

func TestACallerThatGivesUpLeavesTheLookupToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		r.release = make(chan struct{})
		errImpatient := errors.New("impatient")
		ctx, cancel := context.WithCancelCause(t.Context())

		impatient := waitInBackground(ctx, &c, r)
		synctest.Wait()
		patient := waitInBackground(t.Context(), &c, r)
		synctest.Wait()
		cancel(errImpatient)
		if err := <-impatient; err != errImpatient {
			t.Fatalf("the caller that gave up got %v, want its cause", err)
		}
		close(r.release)
		if err := <-patient; err != nil {
			t.Fatalf("the caller that waited got %v", err)
		}
		r.wantAsked(t, 1)
	})
}

func TestALookupNobodyWaitsForIsStillRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying("192.0.2.1")
		r.release = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := waitInBackground(ctx, &c, r)
		synctest.Wait()
		cancel()
		<-ended
		close(r.release)
		synctest.Wait()
		mustLookup(t, &c, r)
		r.wantAsked(t, 1)
	})
}

type ctxKey struct{}

func TestALookupKeepsTheValuesOfItsCallerButNotItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), ctxKey{}, "mine"), time.Second)
		defer cancel()
		start := time.Now()
		r := resolverFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			if ctx.Value(ctxKey{}) != "mine" {
				t.Error("the look-up lost the values of its caller")
			}
			if deadline, ok := ctx.Deadline(); !ok || deadline.Sub(start) != LookupTimeout {
				t.Errorf("the look-up's deadline is %v, want %v", deadline.Sub(start), LookupTimeout)
			}
			time.Sleep(2 * time.Second)
			return parse("192.0.2.1"), ctx.Err()
		})
		if _, err := c.Lookup(ctx, r, "ip", host, ttl); err != context.DeadlineExceeded {
			t.Fatalf("got %v, want the caller's deadline", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		mustLookup(t, &c, saying()) // known by now: nobody is asked
	})
}

func TestARefreshBelongsToNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		var values []any
		r := resolverFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			values = append(values, ctx.Value(ctxKey{}))
			return parse("192.0.2.1"), nil
		})
		ctx := context.WithValue(t.Context(), ctxKey{}, "mine")
		for range 2 {
			if _, err := c.Lookup(ctx, r, "ip", host, ttl); err != nil {
				t.Fatal(err)
			}
			time.Sleep(ttl)
		}
		synctest.Wait()
		if want := []any{"mine", nil}; !slices.Equal(values, want) {
			t.Fatalf("values seen by the resolver: %v, want %v", values, want)
		}
	})
}

func TestTheErrorOfAFirstLookupIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		r := saying()
		r.fails(errServFail)
		if _, err := c.Lookup(t.Context(), r, "ip", host, ttl); err != errServFail {
			t.Fatalf("got %v, want the resolver's own error", err)
		}
		r.says("192.0.2.1")
		mustLookup(t, &c, r)
	})
}

func TestAResolverThatReturnsNothingMeansNoSuchHost(t *testing.T) {
	for _, addrs := range [][]netip.Addr{nil, {{}}, parse("192.0.2.1")} {
		synctest.Test(t, func(t *testing.T) {
			var c Cache
			r := resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) { return addrs, nil })
			_, err := c.Lookup(t.Context(), r, "ip6", host, ttl)
			var dns *net.DNSError
			if !errors.As(err, &dns) || !dns.IsNotFound || dns.Name != host {
				t.Fatalf("got %#v, want a DNSError that says not found", err)
			}
		})
	}
}

func TestAResolverThatBreaksIsAnErrorForAllWhoWait(t *testing.T) {
	for name, broken := range map[string]func(){
		"panicked: on purpose": func() { panic("on purpose") },
		"ended its goroutine":  runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c Cache
				release := make(chan struct{})
				r := resolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
					<-release
					broken()
					return nil, nil
				})
				callers := []<-chan error{waitInBackground(t.Context(), &c, r), waitInBackground(t.Context(), &c, r)}
				synctest.Wait()
				close(release)
				for _, ended := range callers {
					if err := <-ended; err == nil || !strings.Contains(err.Error(), name) {
						t.Fatalf("got %v, want one that says the resolver %s", err, name)
					}
				}
				mustLookup(t, &c, saying("192.0.2.1"))
			})
		})
	}
}

func TestAResolverThatIgnoresItsContextIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		stuck := saying("192.0.2.66")
		stuck.release = make(chan struct{})
		start := time.Now()
		_, err := c.Lookup(t.Context(), stuck, "ip", host, ttl)
		if waited := time.Since(start); waited != LookupTimeout {
			t.Fatalf("waited %v, want %v", waited, LookupTimeout)
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want a timeout", err)
		}

		mustLookup(t, &c, saying("192.0.2.1"))
		close(stuck.release)
		synctest.Wait()
		if got := mustLookup(t, &c, stuck); !slices.Equal(got.Addrs, parse("192.0.2.1")) {
			t.Fatalf("what came too late replaced the newer answer: %v", got)
		}
	})
}

func TestAStuckRefreshIsReplacedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache
		mustLookup(t, &c, saying("192.0.2.1"))
		stuck := saying("192.0.2.66")
		stuck.release = make(chan struct{})
		time.Sleep(ttl)
		mustLookup(t, &c, stuck)
		time.Sleep(LookupTimeout + firstPause)
		mustLookup(t, &c, saying("192.0.2.2"))
		synctest.Wait()
		if got := mustLookup(t, &c, stuck); !slices.Equal(got.Addrs, parse("192.0.2.2")) {
			t.Fatalf("got %v after a good refresh", got)
		}
		close(stuck.release)
	})
}

func TestTheSystemsResolverIsAResolver(t *testing.T) {
	var c Cache
	answer, err := c.Lookup(t.Context(), net.DefaultResolver, "ip", "127.0.0.1", ttl)
	if err != nil || !slices.Equal(answer.Addrs, parse("127.0.0.1")) {
		t.Fatalf("got %v, %v", answer, err)
	}
}

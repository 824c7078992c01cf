package peerpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestAnAddressWhoseRequestsFailGetsNoMoreOfThemAndNoneIsLost(t *testing.T) {
	for name, fails := range map[string]http.HandlerFunc{"no response": aborts, "half of one": cutsOff} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2, &Transport{Balance: BalanceRoundRobin})
				c.at(1).does(fails)
				lost := 0
				for range 100 {
					if c.get() != nil {
						lost++
					}
					synctest.Wait()
				}
				if half := name == "half of one"; lost > 0 && !half || lost > defaultFailures {
					t.Errorf("%d requests were lost", lost)
				}
				if n := c.at(1).requests.Load(); n > 2*defaultFailures { // those on connections that had idled do not count
					t.Errorf("it got %d requests, want about %d", n, defaultFailures)
				}
				c.wantState(1, AddressEjected, EjectRequest)
				c.wantState(2, AddressListed, "")
			})
		})
	}
}

func TestAnAddressThatDoesNotAnswerInTimeIsEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.at(1).does(hangs)
		for range defaultFailures {
			if err := c.get(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want that it took too long", err)
			}
		}
		c.mustGet(20)
		c.wantState(1, AddressEjected, EjectTimeout)
	})
}

// A proxy passes on bodies that can be read once. Only a body that has not been read to its end may be what takes too long.
func TestAnAddressThatDoesNotAnswerAWholeBodyInTimeIsEjected(t *testing.T) {
	for _, protocol := range []func(*http.Protocols, bool){(*http.Protocols).SetHTTP1, (*http.Protocols).SetUnencryptedHTTP2} {
		for _, whole := range []bool{true, false} {
			for _, length := range []int64{-1, 5} {
				synctest.Test(t, func(t *testing.T) {
					tr := &Transport{Protocols: new(http.Protocols)}
					protocol(tr.Protocols, true)
					c := newCluster(t, 2, tr)
					c.at(1).does(func(_ http.ResponseWriter, r *http.Request) {
						io.Copy(io.Discard, r.Body)
						<-r.Context().Done()
					})
					for range defaultFailures {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						r, w := io.Pipe()
						go func() {
							w.Write([]byte("hello"))
							if whole {
								w.Close()
							}
						}()
						req := peerRequest(t, "http://a.test/", nil).WithContext(ctx)
						req.Method, req.Body, req.ContentLength = http.MethodPost, r, length
						if err := peerTry(tr, req); !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("%v, want that it took too long", err)
						}
						cancel()
						r.Close()
					}
					time.Sleep(time.Second) // a server of Go 1.27 waits before it closes a connection whose request it has not read
					if got := tr.Stats().Ejections; (got > 0) != whole {
						t.Errorf("a body of length %d, sent to its end: %v: %d ejections", length, whole, got)
					}
				})
			}
		}
	}
}

func TestStatusesOf5xxEjectAnAddressOnlyIfTheOptionSaysSo(t *testing.T) {
	for _, errors := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2, &Transport{Outliers: Outliers{ServerErrors: errors}})
			c.at(1).does(errs)
			c.mustGet(50)
			want := int64(50)
			if errors > 0 {
				want = int64(errors)
				c.wantState(1, AddressEjected, EjectStatus)
			} else {
				c.wantState(1, AddressListed, "")
			}
			if n := c.at(1).requests.Load(); n != want {
				t.Errorf("with %d, it got %d requests, want %d", errors, n, want)
			}
		})
	}
}

func TestAnEjectedAddressComesBackWithOneRequestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{Balance: BalanceRoundRobin})
		c.eject(1, aborts)
		before := c.at(1).requests.Load()

		time.Sleep(3 * time.Second) // it is tried, fails, and is out for about four seconds
		c.mustGet(20)
		if n := c.at(1).requests.Load() - before; n != 1 {
			t.Errorf("%d requests tried it, want one", n)
		}
		c.wantState(1, AddressEjected, EjectRequest)

		c.at(1).does(serves)
		time.Sleep(2 * time.Second)
		c.mustGet(20)
		c.wantState(1, AddressEjected, EjectRequest)
		time.Sleep(3 * time.Second)
		c.mustGet(20)
		c.wantState(1, AddressListed, "")
		if n := c.at(1).requests.Load() - before; n < 8 || n > 13 {
			t.Errorf("it has got %d requests since, want half of 20", n)
		}
		if n := len(c.changes); n != 3 || c.changes[0].State != AddressEjected || !c.changes[2].Ended {
			t.Errorf("%d changes were told: %+v", n, c.changes)
		}
	})
}

func TestOnlyOneRequestAtATimeTriesAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{Balance: BalanceRoundRobin})
		c.eject(1, aborts)
		time.Sleep(3 * time.Second)
		before := c.at(1).requests.Load()
		answer := make(chan bool)
		c.at(1).does(func(w http.ResponseWriter, _ *http.Request) { <-answer })
		for range 10 {
			go c.get()
		}
		synctest.Wait()
		if n := c.at(1).requests.Load() - before; n != 1 {
			t.Errorf("%d requests try it at a time", n)
		}
		c.wantState(1, AddressTrial, EjectRequest)
		close(answer)
		synctest.Wait()
		c.wantState(1, AddressListed, "")
	})
}

func TestALongResponseToTheRequestThatTriesAnAddressDoesNotKeepItOut(t *testing.T) {
	for _, protocol := range []func(*http.Protocols, bool){(*http.Protocols).SetHTTP1, (*http.Protocols).SetUnencryptedHTTP2} {
		synctest.Test(t, func(t *testing.T) {
			tr := &Transport{Balance: BalanceRoundRobin, Protocols: new(http.Protocols)}
			protocol(tr.Protocols, true)
			c := newCluster(t, 2, tr)
			c.eject(1, aborts)
			c.at(1).does(func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			})
			time.Sleep(time.Until(c.address(1).Until) + 1)
			resp, err := tr.RoundTrip(peerRequest(t, "http://a.test/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			c.wantState(1, AddressTrial, EjectRequest)
			c.at(1).does(serves)
			time.Sleep(3 * time.Second) // longer than it was left out
			c.wantState(1, AddressListed, "")
			before := c.at(1).requests.Load()
			for range 20 {
				c.mustGet(1)
				synctest.Wait() // until dials have ended
			}
			if n := c.at(1).requests.Load() - before; n < 8 {
				t.Errorf("it has got %d of 20 requests", n)
			}
			if n := len(c.changes); n != 2 || !c.changes[1].Ended {
				t.Errorf("%d changes were told: %+v", n, c.changes)
			}
		})
	}
}

func TestOutliersOfNegativeFailuresLeaveNoAddressOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{Outliers: Outliers{Failures: -1, ServerErrors: 1}})
		c.at(1).does(aborts)
		c.mustGet(50)
		c.wantState(1, AddressListed, "")
		c.at(1).does(errs)
		c.mustGet(50)
		c.wantState(1, AddressListed, "")
	})
}

func TestARequestThatTheCallerCancelsIsNoFailureOfTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.at(1).does(hangs)
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				time.Sleep(time.Second)
				cancel()
			}()
			if err := peerTry(c.tr, peerRequest(t, "http://a.test/", nil).WithContext(ctx)); err == nil {
				t.Error("it was answered")
			}
		}
		c.at(1).does(serves)
		c.mustGet(1)
		c.wantState(1, AddressListed, "")
	})
}

// Connections that a server closes while they idle show nothing: it may have its reasons.
func TestStaleConnectionsAreNoFailureOfTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, &Transport{})
		c.mustGet(1)
		for range 10 {
			first := true
			c.at(1).does(func(w http.ResponseWriter, r *http.Request) {
				if first {
					first = false
					panic(http.ErrAbortHandler)
				}
				serves(w, r)
			})
			c.mustGet(1)
		}
		if n := c.at(2).requests.Load(); n != 0 {
			t.Errorf("%d requests went elsewhere", n)
		}
		c.wantState(1, AddressListed, "")
	})
}

// A Balance opens connections before requests need them. A request that cannot be sent again is lost if its server breaks
// each connection with the first request.
func TestAServerThatBreaksConnectionsWhichWereOpenedBeforehandIsEjected(t *testing.T) {
	for _, balance := range []Balance{BalanceRoundRobin, BalanceLeastRequests} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(fmt.Sprintf("%s, balance %d", method, balance), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 3, &Transport{Balance: balance})
					c.at(2).does(aborts)
					failed := 0
					for range 60 {
						req := peerRequest(t, "http://a.test/", nil)
						req.Method = method
						if peerTry(c.tr, req) != nil {
							failed++
						}
						synctest.Wait() // until dials have ended
					}
					if lost := map[string]int{http.MethodPost: 3}[method]; failed != lost {
						t.Errorf("%d requests have failed, want %d", failed, lost)
					}
					c.wantState(2, AddressEjected, EjectRequest)
				})
			})
		}
	}
}

func TestAListThatShrinksTakesAddressesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, &Transport{DNSRefresh: time.Minute, Balance: BalanceRoundRobin})
		c.eject(1, aborts)
		time.Sleep(time.Millisecond)
		c.eject(2, aborts)
		c.tr.Resolver.(*httptestutil.Resolver).Set(t, "a.test", "192.0.2.1", "192.0.2.2")
		c.at(1).does(serves)
		h := c.tr.core.routes.hosts()[0]
		h.update(listing{addrs: []netip.AddrPort{h.at("192.0.2.1").addr, h.at("192.0.2.2").addr}, version: h.version + 1})
		c.wantState(1, AddressListed, "")
		c.wantState(2, AddressEjected, EjectRequest)
		c.mustGet(5)
	})
}

// The answer to the request that tries an address may come when the address is not listed.
func TestAnAddressThatIsTriedWhileItIsNotListedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 3, &Transport{Balance: BalanceRoundRobin})
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}
		c.eject(1, aborts)
		time.Sleep(3 * time.Second)
		answer := make(chan bool)
		c.at(1).does(func(http.ResponseWriter, *http.Request) { <-answer })
		go c.get()
		synctest.Wait()
		c.wantState(1, AddressTrial, EjectRequest)
		r.changes <- []string{"192.0.2.2:80", "192.0.2.3:80"}
		synctest.Wait()
		close(answer)
		synctest.Wait()
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}
		synctest.Wait()
		c.at(1).does(serves)
		time.Sleep(5 * time.Second)
		c.mustGet(10)
		c.wantState(1, AddressListed, "")
	})
}

func TestAnAddressCanBeLeftOutForAsLongAsATimeCanBe(t *testing.T) {
	for _, long := range []time.Duration{1, time.Second, 100 * 365 * 24 * time.Hour, math.MaxInt64 / 2, math.MaxInt64} {
		o := Outliers{EjectionTime: long, MaxEjectionTime: long}
		long = min(long, math.MaxInt64/2)
		for range 100 {
			if d := o.span(0); d < long-long/4 || d > long+long/4+1 {
				t.Fatalf("left out for %v instead of %v", d, long)
			}
		}
	}
}

func TestAHostThatWasForgottenTakesAddressesBackToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := watchedCluster(t, 4, &Transport{
			Balance: BalanceRoundRobin, IdleConnTimeout: time.Second, Outliers: Outliers{EjectionTime: time.Hour, MaxEjectionTime: time.Hour},
		})
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "192.0.2.4:80"}
		c.eject(1, aborts)
		c.eject(2, aborts)
		time.Sleep(10 * time.Second)
		if n := len(c.tr.Hosts()); n != 0 {
			t.Fatalf("%d hosts are known", n)
		}
		r.changes <- []string{"192.0.2.1:80", "192.0.2.2:80"}
		synctest.Wait()
		c.at(1).does(serves)
		connects := c.at(1).connects.Load()
		c.mustGet(10)
		c.wantState(1, AddressListed, "")
		c.wantState(2, AddressEjected, EjectRequest)
		if n := c.at(1).connects.Load() - connects; n != 1 {
			t.Errorf("%d connects, want one", n)
		}
	})
}

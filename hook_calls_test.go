package peerpool

import (
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// useAll uses the Transport as a hook may, and more: it waits for a request, which shows that no lock is held that the
// request needs. It waits without a limit, and a bubble fails if nothing would ever wake it.
func (c *cluster) useAll(hook string) {
	switch hook {
	case "ResolveDone": // the look-up ends after the hook, and the request would wait for it
	case "AcquireWait": // the connection goes to the attempt that waits in the hook, and the request would wait for it
	default:
		if err := peerTry(c.tr, peerRequest(c.t, "http://a.test/", nil)); err != nil {
			c.t.Logf("the request of a hook has failed: %v", err)
		}
	}
	c.tr.Stats()
	c.tr.Hosts()
	c.tr.SetLimits(c.tr.Limits())
	c.tr.CloseIdleConnections()
}

// liveThrough does what makes a Transport call its hooks.
func (c *cluster) liveThrough() {
	resolver := c.tr.Resolver.(*httptestutil.Resolver)
	c.mustGet(10)
	c.at(1).refuses.Store(true)
	for range 10 {
		synctest.Wait() // until dials have ended, so that each request needs one
		c.tr.CloseIdleConnections()
		c.get()
	}
	c.at(1).refuses.Store(false)
	for range 10 { // until the address is used again
		time.Sleep(time.Minute)
		c.get()
		c.get()
	}
	c.at(2).does(aborts)
	for range 20 {
		c.get()
		c.get()
		synctest.Wait()
	}
	time.Sleep(time.Second)
	for _, addrs := range [][]string{{"192.0.2.2", "192.0.2.3"}, {"192.0.2.3", "192.0.2.1"}, {"192.0.2.1", "192.0.2.2", "192.0.2.3"}} {
		resolver.Set(c.t, "a.test", addrs...)
		for range 5 {
			time.Sleep(time.Second)
			c.get()
			c.get()
		}
	}
	limits := c.tr.Limits()
	limits.MaxIdleConnsPerHost, limits.MaxConnLifetime = 1, time.Second
	c.tr.SetLimits(limits)
	time.Sleep(time.Minute)
	c.get()
}

// holdBack sends a request while another one has the only connection.
func (c *cluster) holdBack() {
	limits := c.tr.Limits()
	limits.MaxConnsPerHost = 1
	c.tr.SetLimits(limits)
	c.tr.CloseIdleConnections()
	for _, s := range c.servers {
		s.does(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * time.Millisecond)
			serves(w, r)
		})
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { c.get() })
	}
	wg.Wait()
}

func TestAHookMayUseTheTransport(t *testing.T) {
	needFault := map[string]bool{"QuarantineChange": true, "LimitsChange": true} // they need a server with a fault
	for _, hook := range reflect.VisibleFields(reflect.TypeFor[Observer]()) {
		t.Run(hook.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c *cluster
				var inside atomic.Bool
				var calls atomic.Int64
				o := new(Observer)
				reflect.ValueOf(o).Elem().FieldByIndex(hook.Index).Set(reflect.MakeFunc(hook.Type, func([]reflect.Value) []reflect.Value {
					if inside.CompareAndSwap(false, true) { // otherwise its own request would call it again and again
						calls.Add(1)
						c.useAll(hook.Name)
						inside.Store(false)
					}
					return nil
				}))
				c = newCluster(t, 3, &Transport{Balance: BalanceRoundRobin, DNSRefresh: time.Second, Observer: o})
				c.liveThrough()
				if hook.Name == "AcquireWait" { // in other hooks, the request would wait for the only connection
					c.holdBack()
				}
				if calls.Load() == 0 && !needFault[hook.Name] {
					t.Error("the hook was not called")
				}
			})
		})
	}
}

func TestACoalescerRunsOnceMoreForThoseThatAskMeanwhile(t *testing.T) {
	var c coalescer
	runs, then := 0, 0
	update := func() {}
	update = func() {
		if runs++; runs <= 2 {
			c.run(update, func() { then = runs }) // as a hook does
		}
	}
	c.run(update, nil)
	if runs != 3 || then != 3 {
		t.Errorf("it ran %d times, and what was to follow came after run %d, want 3 and 3", runs, then)
	}
}

func TestACoalescerGoesOnAfterAPanic(t *testing.T) {
	var c coalescer
	func() {
		defer func() { recover() }()
		c.run(func() { panic("a hook") }, nil)
	}()
	ran := false
	c.run(func() { ran = true }, nil)
	if !ran {
		t.Error("it does not run any more")
	}
}

package standin

import "sync/atomic"

// hooks are what the tests have planted; each is nil without one.
var hooks struct {
	beforeDial, afterDial, enterRoundTrip, retried, read hook
}

type hook struct{ f atomic.Pointer[func()] }

func (h *hook) set(f func()) {
	if f == nil {
		h.f.Store(nil)
		return
	}
	h.f.Store(&f)
}

func (h *hook) load() func() {
	if f := h.f.Load(); f != nil {
		return *f
	}
	return nil
}

// SetPendingDialHooks has before and after called around each dial of a test server's client; nil: nothing.
func SetPendingDialHooks(before, after func()) {
	hooks.beforeDial.set(before)
	hooks.afterDial.set(after)
}

// SetEnterRoundTripHook has f called as each RoundTrip begins; nil: nothing.
func SetEnterRoundTripHook(f func()) { hooks.enterRoundTrip.set(f) }

// SetRoundTripRetried has f called when the Transport of a test server's client sends a request again; nil: nothing.
func SetRoundTripRetried(f func()) { hooks.retried.set(f) }

// SetReadLoopBeforeNextReadHook has f called, on a goroutine of its own, when an attempt of a Transport has ended
// and its connection is back in the pool or closed; nil: nothing. Net/http has a loop that reads on each
// connection, and calls it there.
func SetReadLoopBeforeNextReadHook(f func()) { hooks.read.set(f) }

// CallAtOnce stands in for [SetReadLoopBeforeNextReadHook] where a test waits for that loop to see a connection fail
// before it closes the body that it has not read: nothing here reads ahead, so there is nothing to wait for.
func CallAtOnce(f func()) {
	if f != nil {
		go f()
	}
}

package peerpool

import (
	"context"
	"slices"
)

// MultiObserver returns an Observer that calls the hooks of all observers, in their order. It leaves out observers that
// are nil. If no observer is left, it returns nil; if one is left, it returns that one. The returned Observer has a
// hook only if at least one of the observers has it. MultiObserver copies the hooks, so later changes to the observers
// have no effect.
func MultiObserver(observers ...*Observer) *Observer {
	observers = slices.DeleteFunc(slices.Clone(observers), func(o *Observer) bool { return o == nil })
	switch len(observers) {
	case 0:
		return nil
	case 1:
		return observers[0]
	}
	all := Observer{
		RequestStart:  each(observers, func(o *Observer) func(context.Context, RequestStart) { return o.RequestStart }),
		ResolveDone:   each(observers, func(o *Observer) func(context.Context, ResolveDone) { return o.ResolveDone }),
		DialDone:      each(observers, func(o *Observer) func(context.Context, DialDone) { return o.DialDone }),
		AcquireWait:   each(observers, func(o *Observer) func(context.Context, AcquireWait) { return o.AcquireWait }),
		AcquireDone:   each(observers, func(o *Observer) func(context.Context, AcquireDone) { return o.AcquireDone }),
		AttemptDone:   each(observers, func(o *Observer) func(context.Context, AttemptDone) { return o.AttemptDone }),
		RequestRetry:  each(observers, func(o *Observer) func(context.Context, RequestRetry) { return o.RequestRetry }),
		RequestDone:   each(observers, func(o *Observer) func(context.Context, RequestDone) { return o.RequestDone }),
		ConnectFailed: each(observers, func(o *Observer) func(context.Context, ConnectFailed) { return o.ConnectFailed }),

		ConnClosed:       eachAlone(observers, func(o *Observer) func(ConnClosed) { return o.ConnClosed }),
		QuarantineChange: eachAlone(observers, func(o *Observer) func(QuarantineChange) { return o.QuarantineChange }),
		AddressChange:    eachAlone(observers, func(o *Observer) func(AddressChange) { return o.AddressChange }),
		LimitsChange:     eachAlone(observers, func(o *Observer) func(LimitsChange) { return o.LimitsChange }),
	}
	return &all
}

// each returns a hook that calls the hooks of all observers, or nil if none of them has one.
func each[E any](observers []*Observer, hook func(*Observer) func(context.Context, E)) func(context.Context, E) {
	var hooks []func(context.Context, E)
	for _, o := range observers {
		if h := hook(o); h != nil {
			hooks = append(hooks, h)
		}
	}
	switch len(hooks) {
	case 0:
		return nil
	case 1:
		return hooks[0]
	}
	return func(ctx context.Context, e E) {
		for _, h := range hooks {
			h(ctx, e)
		}
	}
}

// eachAlone does what each does, for hooks without a context.
func eachAlone[E any](observers []*Observer, hook func(*Observer) func(E)) func(E) {
	all := each(observers, func(o *Observer) func(context.Context, E) {
		h := hook(o)
		if h == nil {
			return nil
		}
		return func(_ context.Context, e E) { h(e) }
	})
	if all == nil {
		return nil
	}
	return func(e E) { all(context.Background(), e) }
}

package peerpool

import (
	"context"
	"slices"
)

// Observers returns an Observer that calls the hooks of all observers, in their order. It leaves out observers that
// are nil. If no observer is left, it returns nil; if one is left, it returns that one. The returned Observer has a
// hook only if at least one of the observers has it. Observers copies the hooks, so later changes to the observers
// have no effect.
func Observers(observers ...*Observer) *Observer {
	observers = slices.DeleteFunc(slices.Clone(observers), func(o *Observer) bool { return o == nil })
	switch len(observers) {
	case 0:
		return nil
	case 1:
		return observers[0]
	}
	all := Observer{
		Started:  each(observers, func(o *Observer) func(context.Context, Started) { return o.Started }),
		Resolved: each(observers, func(o *Observer) func(context.Context, Resolved) { return o.Resolved }),
		Dialed:   each(observers, func(o *Observer) func(context.Context, Dialed) { return o.Dialed }),
		Acquired: each(observers, func(o *Observer) func(context.Context, Acquired) { return o.Acquired }),
		Done:     each(observers, func(o *Observer) func(context.Context, Done) { return o.Done }),
		Retried:  each(observers, func(o *Observer) func(context.Context, Retried) { return o.Retried }),
		Ended:    each(observers, func(o *Observer) func(context.Context, Ended) { return o.Ended }),
	}
	closed := each(observers, func(o *Observer) func(context.Context, Closed) {
		if o.Closed == nil {
			return nil
		}
		return func(_ context.Context, c Closed) { o.Closed(c) }
	})
	if closed != nil {
		all.Closed = func(c Closed) { closed(context.Background(), c) }
	}
	quarantined := each(observers, func(o *Observer) func(context.Context, Quarantined) {
		if o.Quarantined == nil {
			return nil
		}
		return func(_ context.Context, q Quarantined) { o.Quarantined(q) }
	})
	if quarantined != nil {
		all.Quarantined = func(q Quarantined) { quarantined(context.Background(), q) }
	}
	return &all
}

// each returns a hook that calls those of all observers; nil if none has one.
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

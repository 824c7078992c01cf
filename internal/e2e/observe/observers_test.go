package observe_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestObserversTellsAllOfThemInOrder(t *testing.T) {
	var told []string
	say := func(who string) *peerpool.Observer {
		return &peerpool.Observer{
			AcquireDone: func(context.Context, peerpool.AcquireDone) { told = append(told, who+" acquired") },
			ConnClosed:  func(peerpool.ConnClosed) { told = append(told, who+" closed") },
		}
	}
	tr := &peerpool.Transport{Observer: peerpool.MultiObserver(say("a"), nil, say("b"))}
	testkit.Observe(t, tr).Get(httptestutil.NewOrigin(t, httptestutil.OriginOptions{}).URL())
	tr.CloseIdleConnections()
	if want := []string{"a acquired", "b acquired", "a closed", "b closed"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}

// If MultiObserver forgot a hook, its users would not notice.
func TestObserversPassesEveryHookOn(t *testing.T) {
	hooks := reflect.TypeFor[peerpool.Observer]()
	for i := range hooks.NumField() {
		name, calls := hooks.Field(i).Name, 0
		counting := func() *peerpool.Observer {
			o := &peerpool.Observer{}
			reflect.ValueOf(o).Elem().Field(i).Set(reflect.MakeFunc(hooks.Field(i).Type, func([]reflect.Value) []reflect.Value {
				calls++
				return nil
			}))
			return o
		}
		both := reflect.ValueOf(peerpool.MultiObserver(counting(), &peerpool.Observer{}, counting())).Elem()
		for j := range hooks.NumField() {
			if isNil := both.Field(j).IsNil(); isNil != (i != j) {
				t.Errorf("only %s was given; %s is nil: %v", name, hooks.Field(j).Name, isNil)
			}
		}
		var args []reflect.Value
		for in := range hooks.Field(i).Type.Ins() {
			if in == reflect.TypeFor[context.Context]() {
				args = append(args, reflect.ValueOf(t.Context()))
			} else {
				args = append(args, reflect.Zero(in))
			}
		}
		both.Field(i).Call(args)
		if calls != 2 {
			t.Errorf("%s reached %d of 2 observers", name, calls)
		}
	}
}

func TestObserversOfNobodyIsNil(t *testing.T) {
	if o := peerpool.MultiObserver(nil, nil); o != nil {
		t.Error("it is not nil")
	}
	only := &peerpool.Observer{}
	if o := peerpool.MultiObserver(nil, only); o != only {
		t.Error("a single observer is not returned as it is")
	}
}

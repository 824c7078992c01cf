// Command sdks uses many SDKs on one peerpool.Transport at the same time. Some take an http.RoundTripper, some an *http.Client, and
// some assert the type *http.Transport and change its fields. Each makes a few calls to a server in the program that answers as
// its service would. The table shows the number of calls, and the last line the number of connections.
//
//	go run ./sdks
//
// sdks.go has the code for each of them.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/peerpool/peerpool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sdks:", err)
		stop()
		os.Exit(1)
	}
}

const callsEach = 20

func run(ctx context.Context, w io.Writer) error {
	s := startService()
	defer s.Close()
	t := peerpool.New()
	t.TLSClientConfig = &tls.Config{RootCAs: s.roots()}
	defer t.CloseIdleConnections()

	// This must come first, because Vault's client sets fields of the *http.Transport that it gets.
	calls, err := newCalls(t, s)
	if err != nil {
		return err
	}
	if err := together(ctx, calls); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SDK\tcalls")
	for _, c := range calls {
		fmt.Fprintf(table, "%s\t%d\n", c.sdk, callsEach)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	stats := t.Stats()
	fmt.Fprintf(w, "\n%d requests on %d connections\n", s.requests.Load(), stats.Opened)
	return nil
}

// call makes one call of an SDK.
type call struct {
	sdk string
	do  func(context.Context) error
}

// newCalls returns a call of each SDK. All their requests go through t.
func newCalls(t *peerpool.Transport, s *service) ([]call, error) {
	var calls []call
	for sdk, makeCall := range sdks {
		do, err := makeCall(t, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sdk, err)
		}
		calls = append(calls, call{sdk, do})
	}
	slices.SortFunc(calls, func(a, b call) int { return cmp.Compare(a.sdk, b.sdk) })
	return calls, nil
}

// together runs the calls of all SDKs at the same time, and returns the first error.
func together(ctx context.Context, calls []call) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, c := range calls {
		wg.Go(func() {
			for range callsEach {
				if err := c.do(ctx); err != nil {
					cancel(fmt.Errorf("%s: %w", c.sdk, err))
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

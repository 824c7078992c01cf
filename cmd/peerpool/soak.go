package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/peerpool/peerpool/cmd/peerpool/internal/soak"
)

const defaultSoak = 100_000

// soakServers runs "peerpool soak".
func soakServers(ctx context.Context, args []string, s streams) (int, error) {
	opts := soak.Options{Requests: defaultSoak, Seed: uint64(time.Now().UnixNano())}
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Func("n", "", atLeastOne(&opts.Requests, "-n 1000000"))
	set.Func("c", "", atLeastOne(&opts.Callers, "-c 32"))
	set.Func("seed", "", func(text string) (err error) {
		if opts.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			return errors.New("write a whole number, as in -seed 7")
		}
		return nil
	})
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK, writeReport(s.out, usage)
	} else if err != nil {
		return 0, flagError(err)
	}
	if set.NArg() > 0 {
		return 0, misuse("unexpected argument %s: the command starts its own servers", shown(set.Arg(0)))
	}
	var ended atomic.Int64
	opts.Progress = func(n int) { ended.Store(int64(n)) }
	p := &progress{w: s.err, live: s.live}
	stop := p.follow(func() string { return fmt.Sprintf("%d of %d requests", ended.Load(), opts.Requests) })
	begun := time.Now()
	r, err := soak.Run(ctx, opts)
	stop()
	if err != nil {
		return 0, err
	}
	text := fmt.Sprintf("seed %d, %.1f s\n%v", opts.Seed, time.Since(begun).Seconds(), r)
	if err := writeReport(s.out, text); err != nil {
		return 0, err
	}
	switch {
	case r.Bad() > 0:
		return exitFailed, nil
	case ctx.Err() != nil:
		return exitInterrupted, nil
	}
	return exitOK, nil
}

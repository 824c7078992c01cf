package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
)

// runner runs comparisons, one after the other.
type runner struct {
	ctx      context.Context
	rounds   int
	rust     string // the program with the clients written in Rust; "": they take no part
	progress *progress
}

// suite runs all comparisons of a suite.
func (r *runner) suite(s suite, short bool) (suiteReport, error) {
	found := suiteReport{Name: s.name, About: s.about, Unsupported: s.unsupported}
	if s.unsupported != "" {
		return found, nil
	}
	for _, c := range s.comparisons(short) {
		result, err := r.compare(s, c)
		if err != nil {
			return suiteReport{}, fmt.Errorf("%s: %w", c.name, err)
		}
		found.Comparisons = append(found.Comparisons, result)
	}
	r.progress.clear()
	return found, nil
}

// bout is one comparison under way.
type bout struct {
	*runner
	suite suite
	c     comparison
	spec  []byte
	sides map[candidate]*sides
	found map[candidate][]reading
	// failed says why a candidate takes no more turns. The others go on: what they came to is worth having.
	failed map[candidate]error
}

// compare lets the candidates take turns, in another order each round.
func (r *runner) compare(s suite, c comparison) (comparisonReport, error) {
	spec, err := json.Marshal(c.spec)
	if err != nil {
		return comparisonReport{}, err
	}
	if c.rust && r.rust != "" {
		c.candidates = slices.Concat(c.candidates, rustClients)
	}
	b := &bout{
		runner: r, suite: s, c: c, spec: spec,
		sides: map[candidate]*sides{}, found: map[candidate][]reading{}, failed: map[candidate]error{},
	}
	defer b.stop()
	rounds := r.rounds
	if c.rounds > 0 {
		rounds = min(rounds, c.rounds)
	}
	for round := range rounds {
		if err := b.round(round, rounds); err != nil {
			return comparisonReport{}, err
		}
	}
	r.progress.finished(s.name, c.name)
	return summarize(c, b.found, b.failed), nil
}

// sides are the two processes of one candidate. Each has a server of its own: all have as many connections as
// the system lets one process open.
type sides struct{ server, worker *process }

func (s *sides) stop() {
	s.worker.stop()
	s.server.stop()
}

func (b *bout) stop() {
	for _, s := range b.sides {
		s.stop()
	}
}

func (b *bout) start(c candidate) (*sides, error) {
	server, at, err := startServer(b.ctx)
	if err != nil {
		return nil, err
	}
	program := ""
	if slices.Contains(rustClients, c) {
		program = b.rust
	}
	worker, err := startWorker(b.ctx, program, job{Suite: b.suite.name, Candidate: c, Server: at, Spec: b.spec})
	if err != nil {
		server.stop()
		return nil, err
	}
	return &sides{server, worker}, nil
}

func (b *bout) round(round, rounds int) error {
	o := order{Window: b.c.window}
	if cal := b.c.calibrate; cal != nil {
		most, err := b.measure(cal.candidate, o)
		if err != nil {
			return err
		}
		o.Rate = cal.factor * most.Values[cal.metric]
	}
	turns := slices.Clone(b.c.candidates)
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	for _, candidate := range turns {
		if b.failed[candidate] != nil {
			continue
		}
		b.progress.show(b.suite.name, b.c.name, round+1, rounds, candidate)
		got, err := b.measure(candidate, o)
		if b.ctx.Err() != nil {
			return b.ctx.Err() // which ended the processes too
		}
		if err != nil {
			b.failed[candidate] = err
			continue
		}
		b.found[candidate] = append(b.found[candidate], got)
	}
	return nil
}

func (b *bout) measure(c candidate, o order) (reading, error) {
	s := b.sides[c]
	if s == nil {
		var err error
		if s, err = b.start(c); err != nil {
			return reading{}, err
		}
		if b.c.fresh {
			defer s.stop()
		} else {
			b.sides[c] = s
		}
	}
	return s.worker.ask(o)
}

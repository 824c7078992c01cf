package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// workerMain is a client process: it is told a job, and then measures when ordered to until its input ends.
func workerMain(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var j job
	if err := dec.Decode(&j); err != nil {
		return ended(err)
	}
	w, err := newWorker(j)
	if err != nil {
		return enc.Encode(reply{Error: err.Error()})
	}
	if c, ok := w.(io.Closer); ok {
		defer c.Close()
	}
	if err := enc.Encode(reply{}); err != nil {
		return err
	}
	for {
		var o order
		if err := dec.Decode(&o); err != nil {
			return ended(err)
		}
		r, err := w.measure(o)
		answer := reply{reading: r}
		if err != nil {
			answer.Error = err.Error()
		}
		if err := enc.Encode(answer); err != nil {
			return err
		}
	}
}

// ended tells the ordinary end of a conversation from a broken one.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func newWorker(j job) (worker, error) {
	s, ok := findSuite(j.Suite)
	if !ok {
		return nil, fmt.Errorf("no suite %q", j.Suite)
	}
	return s.work(j)
}

// specOf reads a job's spec.
func specOf[T any](j job) (T, error) {
	var spec T
	err := json.Unmarshal(j.Spec, &spec)
	return spec, err
}

//go:build unix

package http2

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/peerpool/peerpool/internal/nettest"
)

// fill writes to an outlet until the system accepts no more. It returns the bytes that it has written.
func fill(t *testing.T, o *outlet) (written []byte) {
	t.Helper()
	for i := byte(0); o.idle(); i++ {
		part := bytes.Repeat([]byte{i}, 64<<10)
		if n, err := o.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
		written = append(written, part...)
	}
	return written
}

func TestAnOutletNeverBlocksAndKeepsTheOrder(t *testing.T) {
	ours, theirs := nettest.TCPPair(t)
	o := newOutlet(ours)
	want := fill(t, o)
	last := []byte("the last of it")
	if _, err := o.Write(last); err != nil { // behind the bytes that wait
		t.Fatal(err)
	}
	want = append(want, last...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(theirs, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("what arrives is not what was written")
	}
	o.await()
	if !o.idle() {
		t.Error("not idle when everything has been taken")
	}
}

func TestAnOutletThatBlocksWaitsForTheSystem(t *testing.T) {
	ours, theirs := nettest.TCPPair(t)
	o := newOutlet(ours)
	want := len(fill(t, o))
	o.block(true)
	written := make(chan error, 1)
	go func() {
		_, err := o.Write(make([]byte, 1<<20))
		if err == nil && !o.idle() {
			err = errors.New("written while something waited")
		}
		written <- err
	}()
	if _, err := io.CopyN(io.Discard, theirs, int64(want)+1<<20); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestAnOutletTellsItsFailureToWhoWritesNext(t *testing.T) {
	ours, _ := nettest.TCPPair(t)
	o := newOutlet(ours)
	fill(t, o)
	ours.Close()
	o.await()
	if _, err := o.Write([]byte("x")); err == nil {
		t.Error("no error")
	}
}

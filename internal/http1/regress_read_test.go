package http1

import (
	"errors"
	"net"
	"testing"
)

// deaf is a connection whose Close does not end its reads.
type deaf struct {
	net.Conn
	reads int
}

func (d *deaf) Read([]byte) (int, error) { d.reads++; return 0, nil }
func (d *deaf) Close() error             { return nil }

func TestAnAbortedConnectionIsNotReadFromEvenIfClosingItEndsNoRead(t *testing.T) {
	d := &deaf{}
	c, cause := NewConn(d), errors.New("given up")
	c.Abort(cause)
	if _, err := c.Read(make([]byte, 1)); err != cause || d.reads != 0 {
		t.Errorf("error %v after %d reads, want the cause and none", err, d.reads)
	}
}

package peerpool

import (
	"context"
	"net"
	"net/http"
	"reflect"
	"unsafe"
)

// stockDialer returns the net.Dialer whose method opens all sockets of t, or nil if that is another function, or none.
func stockDialer(t *http.Transport) *net.Dialer {
	switch {
	case t.DialContext != nil:
		return receiverOf(t.DialContext, func(d *net.Dialer) func(context.Context, string, string) (net.Conn, error) { return d.DialContext })
	case t.Dial != nil:
		return receiverOf(t.Dial, func(d *net.Dialer) func(string, string) (net.Conn, error) { return d.Dial })
	}
	return nil
}

// receiverOf returns the net.Dialer that f is a method of, or nil if f is no such method. methodOf returns that method of
// any net.Dialer.
//
// The language has no way to ask. What gc makes of "d.DialContext" is a pointer to two words: the code, which is the same
// for every d, and d. That this is so is seen each time from a net.Dialer that we know; if it is not, f counts as a
// function that nothing is known about.
func receiverOf[F any](f F, methodOf func(*net.Dialer) F) *net.Dialer {
	known := new(net.Dialer)
	method := methodOf(known)
	if reflect.ValueOf(f).Pointer() != reflect.ValueOf(method).Pointer() || wordsOf(method).receiver != known {
		return nil
	}
	return wordsOf(f).receiver
}

// methodWords are what a variable of a function type points to if it holds a method of a net.Dialer.
type methodWords struct {
	code     uintptr
	receiver *net.Dialer
}

func wordsOf[F any](f F) *methodWords { return *(**methodWords)(unsafe.Pointer(&f)) }

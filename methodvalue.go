package peerpool

//lint:file-ignore SA1019 Dial is deprecated, and carried over because callers may still set it

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

// receiverOf returns what f is a method of, as in "d.DialContext", or nil if f is not that method of an R. methodOf returns
// it for any R.
//
// The language has no way to ask. What gc makes of "d.DialContext" is a pointer to two words: the code, which is the same
// for every d, and d. That this is so is seen each time from an R that we know; if it is not, f counts as a function that
// nothing is known about.
func receiverOf[F, R any](f F, methodOf func(*R) F) *R {
	known := new(R)
	method := methodOf(known)
	if reflect.ValueOf(f).Pointer() != reflect.ValueOf(method).Pointer() || wordsOf[F, R](method).receiver != known {
		return nil
	}
	return wordsOf[F, R](f).receiver
}

// methodWords are what a variable of a function type points to if it holds a method of an R.
type methodWords[R any] struct {
	_        uintptr // the code
	receiver *R
}

func wordsOf[F, R any](f F) *methodWords[R] { return *(**methodWords[R])(unsafe.Pointer(&f)) }

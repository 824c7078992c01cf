package peerpool

//lint:file-ignore SA1019 Dial is deprecated, and carried over because callers may still set it

import (
	"context"
	"net"
	"net/http"
	"reflect"
	"unsafe"
)

// stockDialer returns the net.Dialer whose method opens all sockets of t. It returns nil if another function does, or if t
// has no dial function.
func stockDialer(t *http.Transport) *net.Dialer {
	switch {
	case t.DialContext != nil:
		return receiverOf(t.DialContext, func(d *net.Dialer) func(context.Context, string, string) (net.Conn, error) { return d.DialContext })
	case t.Dial != nil:
		return receiverOf(t.Dial, func(d *net.Dialer) func(string, string) (net.Conn, error) { return d.Dial })
	}
	return nil
}

// receiverOf returns the R of which f is a method value, as in "d.DialContext". It returns nil if f is not that method of an
// R. methodOf returns the method value of any R.
//
// The language has no way to ask for the receiver. The compiler gc makes a method value a pointer to two words: the code,
// which is the same for every d, and d. receiverOf checks each time, with an R that it knows, that this is so. If it is not,
// f counts as a function about which nothing is known.
func receiverOf[F, R any](f F, methodOf func(*R) F) *R {
	known := new(R)
	method := methodOf(known)
	if reflect.ValueOf(f).Pointer() != reflect.ValueOf(method).Pointer() || wordsOf[F, R](method).receiver != known {
		return nil
	}
	return wordsOf[F, R](f).receiver
}

// methodWords is what a variable of a function type points to if it holds a method value of an R.
type methodWords[R any] struct {
	_        uintptr // the code
	receiver *R
}

func wordsOf[F, R any](f F) *methodWords[R] { return *(**methodWords[R])(unsafe.Pointer(&f)) }

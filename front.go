package peerpool

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"unsafe"

	known "github.com/peerpool/peerpool/internal/known/http2"
)

// HTTPTransport returns an [http.Transport], called a front, for programs that accept nothing else. The front passes
// requests for http and https URLs on to t, which may serve them over HTTP/2 as well. Its CloseIdleConnections calls
// that of t. Each call of HTTPTransport returns a new front.
//
// A front starts with the settings of t. A program may change the settings of the front before the front's first
// request. With that request, the changes are made on t, for all users of t. If t has already served a request, this
// is possible only for MaxIdleConns and MaxIdleConnsPerHost. If another field has been changed by then, all requests
// through that front fail, with an error that names the field. If a program changes such settings, or may turn
// verification off, give it the front of a Transport of its own: t.Clone().HTTPTransport(). Changes after the front's
// first request have no effect.
//
// net/http does not hand two kinds of requests over to t: requests through a Clone of the front, and upgrades to
// WebSocket for https URLs. These requests would bypass t, so they fail, with an error that says so. To make a
// Transport with the settings of a Clone, call [FromHTTP] with the Clone. To make these requests fail, a front has
// values of its own in Protocols, TLSNextProto, Proxy and the dial functions, which differ from those of t. If a
// program replaces all of these in a Clone, the Clone is an ordinary http.Transport of net/http.
//
// RegisterProtocol of a front panics for http and https, because these are already registered. If
// golang.org/x/net/http2.ConfigureTransport is called with a front, it returns an error or has no effect. With
// GODEBUG=http2client=0, net/http does not pass CloseIdleConnections on to t.
func (t *Transport) HTTPTransport() *http.Transport {
	t.settings.Lock()
	f := &front{t: t, theirs: t.http(), given: t.http()}
	t.settings.Unlock()
	f.guard()
	f.theirs.RegisterProtocol("http", &known.Transport{Base: f})
	f.theirs.RegisterProtocol("https", https{f})
	return f.theirs
}

// front is the part of an http.Transport from HTTPTransport that knows the Transport behind it.
type front struct {
	t      *Transport
	theirs *http.Transport // the http.Transport that the program has
	given  *http.Transport // the settings of t when theirs was made; nil when no longer needed. It is never used for requests

	protocols http.Protocols // the Protocols of theirs: see guard

	first sync.Once // the first request
	err   error     // why all requests fail, or nil; set by first
}

// guard makes a Clone of the front refuse requests. It sets every field that Clone copies and that net/http needs on the
// way: Proxy, and the dial functions. For programs that give their Clone another Proxy and another dial function, it also
// sets what net/http asks before it speaks HTTP on a connection for an http URL. The front itself needs none of these
// fields, except for upgrades.
func (f *front) guard() {
	f.theirs.DialContext, f.theirs.DialTLSContext = f.refuseDial, f.refuseDial
	if f.theirs.Proxy != nil { // a program may check whether there is a Proxy, and set one if there is not
		f.theirs.Proxy = f.refuseRequest
	}
	// Without HTTP/1, net/http leaves a connection for an http URL to the function that TLSNextProto has for HTTP/2 without
	// TLS. An entry for h2 keeps net/http from setting up its own.
	f.theirs.Protocols = &f.protocols
	f.protocols.SetUnencryptedHTTP2(true)
	f.theirs.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
		protoHTTP2: f.refuseConn, protoUnencrypted: f.refuseConn,
	}
}

// protoUnencrypted is the name of HTTP/2 without TLS in net/http's TLSNextProto.
const protoUnencrypted = "unencrypted_http2"

// https has the form by which net/http recognizes that golang.org/x/net/http2 has been set up: a struct with one exported
// field that has CloseIdleConnections. net/http then passes CloseIdleConnections on to that field, and does not set up
// HTTP/2 itself.
type https struct{ Front *front }

// RoundTrip is called by net/http.
func (h https) RoundTrip(req *http.Request) (*http.Response, error) { return h.Front.RoundTrip(req) }

// RoundTrip has t serve a request.
func (f *front) RoundTrip(req *http.Request) (*http.Response, error) {
	f.first.Do(func() {
		f.t.begun.Do(f.adopt)
		f.err = f.late()
	})
	if f.err != nil {
		closeBody(req)
		return nil, f.err
	}
	return f.t.RoundTrip(req)
}

// CloseIdleConnections is called by net/http.
func (f *front) CloseIdleConnections() { f.t.CloseIdleConnections() }

// adopt makes the changes of the front on t, which has not served a request yet.
func (f *front) adopt() {
	t := f.t
	t.settings.Lock()
	defer t.settings.Unlock()
	ours := reflect.ValueOf(t).Elem()
	for _, c := range f.changes() {
		ours.FieldByName(c.name).Set(c.now)
		if d := stockDialer(f.theirs); d != nil && (c.name == "DialContext" || c.name == "Dial") {
			t.DialContext, t.Dial, t.Dialer = nil, nil, d
		}
	}
	t.announceHTTP2()
	t.use().pool.SetIdleLimits(t.idleLimits())
	f.given = nil // nothing is compared any more
}

// late returns an error if a field of the front has been changed that can no longer be changed on t, because t reads it
// while it serves requests.
func (f *front) late() error {
	if f.given == nil {
		return nil
	}
	t := f.t
	t.settings.Lock()
	defer t.settings.Unlock()
	var names []string
	ours := reflect.ValueOf(t).Elem()
	for _, c := range f.changes() {
		switch field := ours.FieldByName(c.name); {
		case c.name == "MaxIdleConns" || c.name == "MaxIdleConnsPerHost": // the pool keeps these, and can change them
			field.Set(c.now)
			t.use().pool.SetIdleLimits(t.idleLimits())
		case !sameSetting(field, c.now):
			names = append(names, c.name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("peerpool: the program changed %s of this http.Transport after the peerpool.Transport behind it had served a request;"+
		" use the front of a Transport of its own: t.Clone().HTTPTransport()", strings.Join(names, ", "))
}

// change is a field of the front whose value is not the one that the front was given.
type change struct {
	name string
	now  reflect.Value
}

func (f *front) changes() (all []change) {
	has := fromHTTP(f.theirs)
	f.showBehind(has, false)
	now, given := reflect.ValueOf(has).Elem(), reflect.ValueOf(f.given).Elem()
	for i := range given.NumField() {
		field := given.Type().Field(i)
		if value := now.FieldByName(field.Name); field.IsExported() && !sameSetting(value, given.Field(i)) {
			all = append(all, change{field.Name, value})
		}
	}
	return all
}

// sameSetting reports whether two fields of Transports have the same value. Pointers and maps are the same if they point to
// the same thing, because what they point to may be changed in place.
func sameSetting(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Func: // the same function with the same variables: see wordsOf
		return *(*unsafe.Pointer)(a.Addr().UnsafePointer()) == *(*unsafe.Pointer)(b.Addr().UnsafePointer())
	case reflect.Map, reflect.Pointer:
		return a.UnsafePointer() == b.UnsafePointer()
	}
	return a.Equal(b)
}

var (
	errPastClone = errors.New("peerpool: this request goes past the peerpool.Transport: it was sent through a Clone of the http.Transport" +
		" that HTTPTransport returned, or is an upgrade over https; use the peerpool.Transport itself, or peerpool.FromHTTP for a Clone")
	errPastUpgrade = errors.New("peerpool: this request goes past the peerpool.Transport: net/http does not hand over upgrades to WebSocket" +
		" over https from the http.Transport that HTTPTransport returned; send it through the peerpool.Transport itself")
)

// refuseRequest is the Proxy of a front. net/http calls it for each request that it does not hand over to t.
func (f *front) refuseRequest(req *http.Request) (*url.URL, error) {
	if req.URL != nil && req.URL.Scheme == "https" && requiresHTTP1(req) {
		return nil, errPastUpgrade
	}
	return nil, errPastClone
}

// refuseDial is the DialContext and the DialTLSContext of a front. A request gets here without a call of refuseRequest if
// there was no proxy, or another one.
func (f *front) refuseDial(context.Context, string, string) (net.Conn, error) {
	return nil, errPastClone
}

// refuseConn is the function in the front's TLSNextProto. net/http calls it for connections of Clones.
func (f *front) refuseConn(_ string, c *tls.Conn) http.RoundTripper {
	nc := c.NetConn()
	if plain, ok := nc.(interface{ UnencryptedNetConn() net.Conn }); ok { // net/http passes a connection without TLS in a *tls.Conn
		nc = plain.UnencryptedNetConn()
	}
	nc.Close()
	return refused{}
}

// refused is a RoundTripper that tells net/http that there is none for the connection, and why.
type refused struct{}

// RoundTripErr is called by net/http.
func (refused) RoundTripErr() error { return errPastClone }

// RoundTrip is called by net/http.
func (refused) RoundTrip(*http.Request) (*http.Response, error) { return nil, errPastClone }

// frontOf returns the front from which t has been made, directly or from a Clone of it. It returns nil if t does not look
// like that.
func frontOf(t *Transport) *front {
	return cmp.Or(
		receiverOf(t.DialContext, dialOf), receiverOf(t.DialTLSContext, dialOf),
		receiverOf(t.Proxy, proxyOf), receiverOf(t.TLSNextProto[protoUnencrypted], nextOf),
	)
}

func dialOf(f *front) func(context.Context, string, string) (net.Conn, error) { return f.refuseDial }
func proxyOf(f *front) func(*http.Request) (*url.URL, error)                  { return f.refuseRequest }
func nextOf(f *front) func(string, *tls.Conn) http.RoundTripper               { return f.refuseConn }

// showBehind replaces those fields of t that refuse requests by the settings of the Transport behind f. t has been made from
// f, or from a Clone of f if cloned is true.
func (f *front) showBehind(t *Transport, cloned bool) {
	if receiverOf(t.DialContext, dialOf) != nil {
		t.DialContext, t.Dialer = f.t.DialContext, cloneDialer(f.t.Dialer)
	}
	if receiverOf(t.DialTLSContext, dialOf) != nil {
		t.DialTLSContext = f.t.DialTLSContext
	}
	if receiverOf(t.Proxy, proxyOf) != nil {
		t.Proxy = f.t.Proxy
	}
	if receiverOf(t.TLSNextProto[protoUnencrypted], nextOf) != nil {
		t.TLSNextProto = f.nextProto(t.TLSNextProto)
	}
	if p := t.Protocols; p == &f.protocols || cloned && p != nil && *p == f.protocols {
		t.Protocols = f.allowed(*p)
	}
}

// nextProto returns the TLSNextProto of the Transport behind f, and what a program has added to that of the front.
func (f *front) nextProto(shown map[string]func(string, *tls.Conn) http.RoundTripper) map[string]func(string, *tls.Conn) http.RoundTripper {
	all := f.t.TLSNextProto
	for name, next := range shown {
		if receiverOf(next, nextOf) == nil {
			all = maps.Clone(all)
			if all == nil {
				all = make(map[string]func(string, *tls.Conn) http.RoundTripper)
			}
			all[name] = next
		}
	}
	return all
}

// allowed returns the Protocols of the Transport behind f, and what a program has added to those of the front.
func (f *front) allowed(shown http.Protocols) *http.Protocols {
	if !shown.HTTP1() && !shown.HTTP2() {
		return f.t.Protocols
	}
	all := f.t.protocols(&noOptions)
	all.SetHTTP1(all.HTTP1() || shown.HTTP1())
	all.SetHTTP2(all.HTTP2() || shown.HTTP2())
	return &all
}

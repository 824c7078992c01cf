package http2_test

import (
	"slices"
	"strings"
)

// A difference is one between our client and the references that has a reason.
type difference struct {
	name     string
	explains func(s *script, x *exchange, ours, ref *outcome) bool
}

var differences = []difference{
	{"the cause of a context reaches the caller, as over HTTP/1.1", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return but(ours, ref, cause)
	}},
	{"a connection that takes no more requests may be closed before what is left on it is reset", func(s *script, x *exchange, ours, ref *outcome) bool {
		return s.closes() && but(ours, ref, cause, broken)
	}},
	{"an idempotent request is sent again when its connection ends", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return (ref.class == "connection" || ref.class == "unexpected EOF") && ref.head == "" && slices.Contains(idempotent, x.method) &&
			len(ours.seen) > len(ref.seen) && (ours.class == "canceled" || ours.class == "deadline" || strings.Contains(ours.head, "X-Again"))
	}},
	{"a refused request that cannot be sent again is told as it was refused", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return strings.HasPrefix(ref.text, "http2: Transport: cannot retry err ["+ours.text+"] after Request.Body was written") &&
			but(ours, ref, func(o *outcome) { o.class, o.text = "", "" })
	}},
	{"a refused request whose body is untouched is sent again", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.expect && strings.HasPrefix(ref.text, "http2: Transport: cannot retry err [") && len(ours.seen) > len(ref.seen) &&
			!ours.failed && strings.Contains(ours.head, "X-Again")
	}},
	{"of the interim responses that come with the end of the exchange, all may be seen, or none", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return (x.resets() || ref.class != "") && but(ours, ref, cause, func(o *outcome) { o.interim = "" })
	}},
	{"a request that has had an interim response is not sent again, though it be refused", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return ours.interim != "" && ours.class == "stream REFUSED_STREAM" && strings.Contains(ref.head, "X-Again") && len(ref.seen) > len(ours.seen)
	}},
	{"a body that ends early is an error, not the end of the request", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.body.kind == shortBody && !slices.ContainsFunc(ours.seen, func(s seen) bool { return s.ended })
	}},
}

// cause forgets why a context was canceled.
func cause(o *outcome) {
	if o.class == "canceled" {
		o.text = strings.Replace(o.text, errUnhappy.Error(), "context canceled", 1)
	}
}

// broken forgets how a request was broken off.
func broken(o *outcome) {
	for i := range o.seen {
		o.seen[i].broken, o.seen[i].reset = true, ""
	}
}

// closes reports whether the client, or the server with GOAWAY, has a connection take no more requests.
func (s *script) closes() bool {
	return s.has("goaway", 0) || slices.ContainsFunc(s.exchanges, func(x exchange) bool { return slices.Contains(x.fields, "Connection: close") })
}

// resets reports whether the server resets the stream.
func (x *exchange) resets() bool {
	return slices.ContainsFunc(x.steps, func(s step) bool { return s.verb == "reset" })
}

// but reports whether two outcomes are the same but for something.
func but(ours, ref *outcome, ignore ...func(*outcome)) bool {
	a, b := *ours, *ref
	a.seen, b.seen = slices.Clone(a.seen), slices.Clone(b.seen)
	for _, f := range ignore {
		f(&a)
		f(&b)
	}
	return a.same(&b)
}

var idempotent = []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}

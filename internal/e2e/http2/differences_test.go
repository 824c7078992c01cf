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
	{"a response without content may say how long its content would be (RFC 9113 section 8.1.1)", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return bodiless(ours) && ours.class == "" && ref.class == "unexpected EOF" &&
			but(ours, ref, func(o *outcome) { o.class, o.text = "", "" }, upload)
	}},
	{"once the response has been read to its end, the rest of the request is not sent", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return ours.class == "" && ours.head != "" && x.body.kind != noBody && !ours.failed && last(ours).reset == "NO_ERROR" &&
			but(ours, ref, upload, func(o *outcome) { o.failed = false })
	}},
	{"nothing comes on a stream that the server has reset", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.resets() && strings.HasPrefix(ours.class, "stream ") && strings.HasSuffix(ours.text, "received from peer") && ref.head != ""
	}},
	{"of several things that are wrong with a response, another one is named", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return ours.class == "stream PROTOCOL_ERROR" && ref.class == ours.class && but(ours, ref, func(o *outcome) { o.text = "" })
	}},
	{"once the response has come to its end, the code that ends the rest of the request may be another one", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.expect && ours.class == "" && !ours.failed && but(ours, ref, upload, func(o *outcome) { o.failed = false })
	}},
	{"a final response ends the wait for 100 Continue", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.expect && ours.head != "" && ours.head == ref.head && !strings.Contains(ours.interim, "100") && !ours.failed
	}},
	{"101 Switching Protocols is an error at once (RFC 9113 section 8.6)", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return strings.HasSuffix(ours.text, "status 101 has no meaning in HTTP/2") && strings.Contains(ref.interim, "101")
	}},
	{"the head of a response to HEAD is all of it", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.method == "HEAD" && ours.head != "" && ours.class == "" && ref.head == ""
	}},
	{"a status has three digits (RFC 9110 section 15)", func(s *script, x *exchange, ours, ref *outcome) bool {
		return strings.HasSuffix(ours.text, "non-numeric status pseudo header") && (x.status(7) || x.status(99) || x.status(1000))
	}},
	{"a head over the limit costs its stream, not the connection", func(s *script, x *exchange, ours, ref *outcome) bool {
		return s.client.maxHeader > 0 && strings.Contains(ref.text, "COMPRESSION_ERROR")
	}},
	{"trailers that do not end the stream are an error of the stream, not of the connection", func(s *script, x *exchange, ours, ref *outcome) bool {
		return ref.class == "connection" && s.headsTwice()
	}},
}

// headsTwice reports whether the server sends HEADERS after the final head of some stream.
func (s *script) headsTwice() bool {
	return slices.ContainsFunc(s.exchanges, func(x exchange) bool {
		heads := 0
		for _, st := range x.steps {
			if st.verb == "head" && st.n >= 200 || (st.verb == "head" || st.verb == "fields") && heads > 0 {
				heads++
			}
		}
		return heads > 1
	})
}

func bodiless(o *outcome) bool {
	return strings.HasPrefix(o.head, "204") || strings.HasPrefix(o.head, "304")
}

// last returns what the server saw of the last attempt.
func last(o *outcome) seen {
	if len(o.seen) == 0 {
		return seen{}
	}
	return o.seen[len(o.seen)-1]
}

// upload forgets how the last request ended.
func upload(o *outcome) {
	if n := len(o.seen) - 1; n >= 0 {
		o.seen[n].broken, o.seen[n].reset = true, ""
	}
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

// status reports whether the server sends that status.
func (x *exchange) status(n int) bool {
	return slices.ContainsFunc(x.steps, func(s step) bool { return s.verb == "head" && s.n == n })
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

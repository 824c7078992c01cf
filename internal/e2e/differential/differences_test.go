package differential_test

import (
	"slices"
	"strings"

	"golang.org/x/net/http2"
)

// A difference is one between our client and the references that has a reason: where it applies, something of what
// happened is left out of the comparison, or all of it.
type difference struct {
	name    string
	applies func(s *script, x *exchange, ours, ref *outcome) bool
	forget  func(o *outcome) // nil: everything
}

var differences = []difference{
	{"a connection that takes no more requests may be closed before what is left on it is reset", func(s *script, _ *exchange, _, _ *outcome) bool {
		return s.closes()
	}, forgetEnds},
	{"a request that fails at once on a connection of its own may not be sent at all", func(s *script, _ *exchange, ours, ref *outcome) bool {
		return s.closes() && ours.class != "" && ours.class == ref.class && len(ours.seen) < len(ref.seen)
	}, nil},
	{"an idempotent request is sent again when its connection ends", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return (ref.class == "connection" || ref.class == "unexpected EOF") && ref.head == "" && slices.Contains(idempotent, x.method) &&
			len(ours.seen) > len(ref.seen) && (ours.class == "canceled" || ours.class == "deadline" || strings.Contains(ours.head, "X-Again"))
	}, nil},
	{"a refused request whose body is untouched is sent again", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.expect && strings.HasPrefix(ref.text, "http2: Transport: cannot retry err [") && len(ours.seen) > len(ref.seen) &&
			!ours.failed && (strings.Contains(ours.head, "X-Again") || ours.class == "connection")
	}, nil},
	{"an exchange that has failed or is given up is reset with another code, or was over by then", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return (ours.class != "" || ours.stage == "closed early") && ours.class == ref.class && (last(ours).reset != "" || last(ours).ended)
	}, forgetEnds},
	{"of the interim responses that come with the end of the exchange, all may be seen, or none", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.resets() || ref.class != ""
	}, func(o *outcome) { o.interim = "" }},
	{"a request that has had an interim response is not sent again, though it be refused", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return ours.interim != "" && (ours.class == "stream REFUSED_STREAM" || ours.class == "GOAWAY") && strings.Contains(ref.head, "X-Again") && len(ref.seen) > len(ours.seen)
	}, nil},
	{"a body that ends early is an error, not the end of the request", func(_ *script, x *exchange, ours, _ *outcome) bool {
		return x.body.kind == shortBody && !slices.ContainsFunc(ours.seen, func(s seen) bool { return s.ended })
	}, nil},
	{"a response without content may say how long its content would be (RFC 9113 section 8.1.1)", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return bodiless(ours) && ours.class == "" && ref.class == "unexpected EOF"
	}, func(o *outcome) { o.class, o.text = "", ""; forgetEnds(o) }},
	{"once the response has come to its end, the rest of the request is not sent", func(_ *script, x *exchange, ours, _ *outcome) bool {
		return ours.class == "" && ours.head != "" && x.body.kind != noBody && !ours.failed
	}, func(o *outcome) { o.failed = false; forgetEnds(o) }},
	{"nothing comes on a stream that the server has reset", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.resets() && ref.head != "" && (strings.Contains(ours.text, "received from peer") || strings.Contains(ours.head, "X-Again"))
	}, nil},
	{"of several things that are wrong with a response, another one is named", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return ours.class == "stream PROTOCOL_ERROR" && ref.class == ours.class
	}, func(o *outcome) { o.text = ""; forgetEnds(o) }},
	{"a final response ends the wait for 100 Continue", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.expect && ours.head != "" && ours.head == ref.head && !strings.Contains(ours.interim, "100") && !ours.failed
	}, nil},
	{"101 Switching Protocols is an error at once (RFC 9113 section 8.6)", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return strings.HasSuffix(ours.text, "status 101 has no meaning in HTTP/2") && strings.Contains(ref.interim, "101")
	}, nil},
	{"the head of a response to HEAD is all of it", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return x.method == "HEAD" && ours.head != "" && ours.class == "" && ref.head == ""
	}, nil},
	{"a status has three digits (RFC 9110 section 15)", func(_ *script, x *exchange, ours, _ *outcome) bool {
		return strings.HasSuffix(ours.text, "non-numeric status pseudo header") && (x.status(7) || x.status(99) || x.status(1000))
	}, nil},
	{"a head over the limit costs its stream, not the connection", func(s *script, _ *exchange, _, ref *outcome) bool {
		return s.client.maxHeader > 0 && strings.Contains(ref.text, "COMPRESSION_ERROR")
	}, nil},
	{"a head may be as large with every release of Go, which leaves room for some fields' own overhead", func(s *script, _ *exchange, ours, ref *outcome) bool {
		return s.client.maxHeader > 0 && ours.head != "" && strings.HasSuffix(ref.text, "response header list larger than advertised limit")
	}, nil},
	{"a trailer over the limit is an error, rather than a part of it the trailer", func(s *script, _ *exchange, ours, ref *outcome) bool {
		return s.client.maxHeader > 0 && strings.HasSuffix(ours.text, "response header list larger than advertised limit") && ref.class == ""
	}, nil},
	{"trailers that do not end the stream are an error of the stream, not of the connection", func(s *script, _ *exchange, _, ref *outcome) bool {
		return ref.class == "connection" && s.headsTwice()
	}, nil},
	{"a response that is complete has no trailer with a status, also where nobody reads it", func(s *script, _ *exchange, ours, _ *outcome) bool {
		return ours.class == "" && last(ours).reset == "PROTOCOL_ERROR" && s.headsTwice()
	}, forgetEnds},
	{"nothing comes on a stream that GOAWAY has turned away", func(s *script, _ *exchange, ours, ref *outcome) bool {
		return s.goesAway() && (ref.class == "GOAWAY" || ref.head != "") && (ours.class == "GOAWAY" || strings.Contains(ours.head, "X-Again"))
	}, nil},
	{"a cancellation ends the exchange, also while its upload waits", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return (ours.class == "canceled" || ours.class == "deadline") && ref.head != "" && (ref.class == "hangs" || ref.class == "") && x.body.kind != noBody
	}, nil},
	{"a connection that has survived has the settings that it had", func(s *script, _ *exchange, ours, _ *outcome) bool {
		return s.headsTwice() && strings.HasSuffix(ours.text, "request header list larger than peer's advertised limit")
	}, nil},
	{"a connection that has survived may end later, with those that are on it then", func(s *script, _ *exchange, ours, ref *outcome) bool {
		return ours.class == "connection" && ref.class != "connection" && (s.headsTwice() || s.client.maxHeader > 0 || s.has("grant", maxWindow))
	}, nil},
	{"a connection that has survived answers sooner than a new one", func(s *script, _ *exchange, ours, ref *outcome) bool {
		return s.headsTwice() && s.server.late > 0 && ours.class == "canceled" && ref.class == "canceled" && ours.head != ""
	}, nil},
	{"a frame that comes at the wrong time is an error before all of it has come", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return ours.class == "stream PROTOCOL_ERROR" && (ref.class == "canceled" || ref.class == "deadline") && ours.head == ref.head && x.torn()
	}, nil},
	{"what has come of a frame is passed on before the rest has come", func(_ *script, x *exchange, ours, ref *outcome) bool {
		ends := []string{"canceled", "deadline"}
		return (slices.Contains(ends, ours.class) || slices.Contains(ends, ref.class) || ours.stage == "closed early") && (x.padded() || x.torn())
	}, func(o *outcome) { o.got, o.stage, o.class, o.text = "", "", "", ""; forgetEnds(o) }},
	{"of a frame that goes beyond the content-length nothing is passed on", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return (ours.text == ref.text || ref.stage == "closed early") && strings.HasSuffix(ours.text, "more than declared Content-Length; truncated")
	}, func(o *outcome) { o.got, o.stage, o.class, o.text = "", "", "", ""; forgetEnds(o) }},
	{"what has ended the connection is the error of all, and what was sent until then does not matter", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return ours.class == "connection" && (ours.text == ref.text || strings.HasSuffix(ref.text, "client conn is closed"))
	}, func(o *outcome) { o.text = ""; forgetEnds(o) }},
	{"a connection that has ended has the reason that reading it had", func(_ *script, _ *exchange, ours, ref *outcome) bool {
		return ours.class == "unexpected EOF" && strings.HasSuffix(ref.text, "client conn is closed")
	}, func(o *outcome) { o.class, o.text = "", ""; forgetEnds(o) }},
	{"an upload that is being read from is waited for, until the deadline perhaps", func(_ *script, x *exchange, ours, ref *outcome) bool {
		return ours.class == "deadline" && x.body.pause > 0 && x.resets() && strings.Contains(ref.text, "received from peer")
	}, nil},
	{"where there are few streams, who waits may get another one", func(s *script, _ *exchange, ours, ref *outcome) bool {
		return s.crowded() && ref.class == "timeout" && ours.class == ""
	}, nil},
	{"a connection that has survived has the windows that it had", func(s *script, x *exchange, ours, ref *outcome) bool {
		return s.headsTwice() && x.body.kind != noBody && ours.class == ref.class
	}, forgetEnds},
	{"a body is read in pieces of another size, so that it fails at another time", func(_ *script, x *exchange, ours, ref *outcome) bool {
		if x.body.kind == shortBody && x.body.pause > 0 {
			return ref.class == "canceled" || ref.class == "deadline"
		}
		return x.body.kind == failingBody && (ours.class == "the caller's body" || ref.class == "the caller's body") ||
			x.body.kind == longBody && (strings.HasSuffix(ours.text, errTooLong) || strings.HasSuffix(ref.text, errTooLong))
	}, nil},
}

// explained says which differences explain that two outcomes are not the same: one of them, or all together.
func explained(s *script, x *exchange, ours, ref *outcome) (names []string) {
	a, b := ours.copy(), ref.copy()
	for _, d := range differences {
		if !d.applies(s, x, ours, ref) {
			continue
		}
		if d.forget == nil {
			return []string{d.name}
		}
		c, e := ours.copy(), ref.copy()
		d.forget(c)
		d.forget(e)
		if c.same(e) {
			return []string{d.name}
		}
		d.forget(a)
		d.forget(b)
		names = append(names, d.name)
	}
	if a.same(b) {
		return names
	}
	return nil
}

func (o *outcome) copy() *outcome {
	c := *o
	c.seen = slices.Clone(o.seen)
	return &c
}

// forgetEnds forgets how requests ended.
func forgetEnds(o *outcome) {
	for i := range o.seen {
		o.seen[i].broken, o.seen[i].reset = true, ""
	}
}

// torn reports whether a frame of the server comes in pieces.
func (x *exchange) torn() bool {
	return slices.ContainsFunc(x.steps, func(s step) bool { return len(s.cuts) > 0 })
}

// crowded reports whether the server allows fewer streams than there are requests.
func (s *script) crowded() bool {
	return slices.ContainsFunc(s.server.settings, func(set http2.Setting) bool {
		return set.ID == http2.SettingMaxConcurrentStreams && int(set.Val) < len(s.exchanges)
	})
}

// padded reports whether DATA with padding is sent.
func (x *exchange) padded() bool {
	return slices.ContainsFunc(x.steps, func(s step) bool { return s.verb == "data" && s.pad > 0 })
}

// headsTwice reports whether the server sends HEADERS after the final head of some stream.
func (s *script) headsTwice() bool {
	return slices.ContainsFunc(s.exchanges, func(x exchange) bool {
		heads := 0
		for _, st := range x.steps {
			if st.verb == "head" && (st.n < 100 || st.n >= 200) || (st.verb == "head" || st.verb == "fields") && heads > 0 {
				heads++
			}
		}
		return heads > 1
	})
}

func bodiless(o *outcome) bool {
	return strings.HasPrefix(o.head, "204") || strings.HasPrefix(o.head, "304")
}

// closes reports whether the client, or the server with GOAWAY, has a connection take no more requests.
func (s *script) closes() bool {
	return s.goesAway() || slices.ContainsFunc(s.exchanges, func(x exchange) bool { return slices.Contains(x.fields, "Connection: close") })
}

// goesAway reports whether the server sends GOAWAY.
func (s *script) goesAway() bool {
	return slices.ContainsFunc(s.exchanges, func(x exchange) bool {
		return slices.ContainsFunc(x.steps, func(st step) bool { return st.verb == "goaway" })
	})
}

// last returns what the server saw of the last attempt.
func last(o *outcome) seen {
	if len(o.seen) == 0 {
		return seen{}
	}
	return o.seen[len(o.seen)-1]
}

// status reports whether the server sends that status.
func (x *exchange) status(n int) bool {
	return slices.ContainsFunc(x.steps, func(s step) bool { return s.verb == "head" && s.n == n })
}

// resets reports whether the server resets the stream.
func (x *exchange) resets() bool {
	return slices.ContainsFunc(x.steps, func(s step) bool { return s.verb == "reset" })
}

const errTooLong = "larger than specified content length"

var idempotent = []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}

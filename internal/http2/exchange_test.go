package http2

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool/internal/exchange"
	xhttp2 "golang.org/x/net/http2"
)

// headed runs an exchange until the head of a response with a body has come.
func (b *bench) headed(fields ...string) (*run, uint32) {
	b.t.Helper()
	b.server.Settings()
	r := b.start(b.t.Context(), "GET", nil)
	stream := b.request()
	b.server.Head(stream, 200, false, fields...)
	if <-r.done; r.err != nil {
		b.t.Fatal(r.err)
	}
	return r, stream
}

// going checks that the exchange has not ended.
func (r *run) going() {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) != 0 {
		r.t.Errorf("ended with %q", r.ends)
	}
}

func TestAResponseWithoutABodyEndsTheExchange(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		b.server.Settings()
		r := b.start(b.t.Context(), "GET", nil)
		b.server.Respond(b.request(), 204, "")
		r.ended(exchange.Reusable)
		r.resp.Body.Close()
		r.ended(exchange.Reusable)
	})
}

func TestTheEndOfTheBodyEndsTheExchange(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		b.server.Data(stream, "body", true)
		r.going()
		if n, err := r.resp.Body.Read(nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		r.going() // a Read of no bytes does not find the end
		if got, err := io.ReadAll(r.resp.Body); string(got) != "body" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		r.ended(exchange.Reusable)
		if err := r.resp.Body.Close(); err != nil {
			t.Error(err)
		}
		r.ended(exchange.Reusable)
	})
}

func TestClosingTheBodyBeforeItsEndResetsTheStreamOnly(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		b.server.Data(stream, "half", false)
		if err := r.resp.Body.Close(); err != nil {
			t.Error(err)
		}
		r.ended(exchange.Reusable)
		if code, ok := b.server.AwaitReset(stream); !ok || code != xhttp2.ErrCodeCancel {
			t.Errorf("%v, %v", code, ok)
		}
		if _, err := r.resp.Body.Read(make([]byte, 1)); err == nil {
			t.Error("a closed body can be read")
		}
		if b.Ended() != "" {
			t.Errorf("the connection is over: %s", b.Ended())
		}
	})
}

func TestADiscardedBodyEndsTheExchangeAsOne(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		exchange.Discard(r.resp.Body)
		r.going()
		b.server.Data(stream, "body", true)
		if _, err := io.ReadAll(r.resp.Body); err != nil {
			t.Error(err)
		}
		r.ended(exchange.EndDiscarded)
	})
}

func TestAResponseWithoutItsDeclaredBodyFailsItsReader(t *testing.T) {
	for name, respond := range map[string]func(s *server, stream uint32){
		"the head ends the stream": func(s *server, stream uint32) { s.Head(stream, 200, true, "content-length: 5") },
		"an empty DATA ends it": func(s *server, stream uint32) {
			s.Head(stream, 200, false, "content-length: 5")
			s.Data(stream, "", true)
		},
		"the body is short": func(s *server, stream uint32) { s.Respond(stream, 200, "half", "content-length: 5") },
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, Config{}, func(b *bench) {
				never, _ := io.Pipe()
				r := b.start(b.t.Context(), "POST", never)
				stream := b.request()
				respond(b.server, stream)
				resp := r.response()
				if resp.ContentLength != 5 {
					t.Errorf("the length is %d", resp.ContentLength)
				}
				for range 2 {
					if _, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF {
						t.Errorf("got %v", err)
					}
				}
				r.ended(exchange.EndError)
				if code, ok := b.server.AwaitReset(stream); !ok || code != xhttp2.ErrCodeCancel {
					t.Errorf("the upload was ended with %v, %v", code, ok)
				}
			})
		})
	}
}

func TestABodyThatBreaksOffEndsTheExchangeOnce(t *testing.T) {
	connTest(t, Config{}, func(b *bench) {
		r, stream := b.headed()
		b.server.Data(stream, "half", false)
		synctest.Wait()
		b.server.Reset(stream, xhttp2.ErrCodeInternal)
		got, err := io.ReadAll(r.resp.Body)
		if string(got) != "half" || err == nil {
			t.Errorf("%q, %v", got, err)
		}
		r.ended(exchange.EndError)
		if _, again := r.resp.Body.Read(make([]byte, 1)); again == nil || again == io.EOF {
			t.Errorf("then %v", again)
		}
		r.resp.Body.Close()
		r.ended(exchange.EndError)
	})
}

func TestACanceledExchangeHasItsCause(t *testing.T) {
	for name, headed := range map[string]bool{"before the head": false, "within the body": true} {
		for by, byContext := range map[string]bool{"Cancel": false, "the context": true} {
			t.Run(name+", by "+by, func(t *testing.T) {
				connTest(t, Config{}, func(b *bench) {
					ctx, cancel := context.WithCancelCause(b.t.Context())
					defer cancel(nil)
					b.server.Settings()
					r := b.start(ctx, "GET", nil)
					stream := b.request()
					if headed {
						b.server.Head(stream, 200, false)
						<-r.done
					}
					if byContext {
						cancel(errGone)
					} else {
						r.Cancel(errGone)
						r.Cancel(errors.New("a second cause"))
					}
					<-r.done
					if err := r.err; headed {
						want := errGone
						if byContext {
							want = context.Canceled // the error of the context, not its cause, as with net/http
						}
						if _, err = r.resp.Body.Read(make([]byte, 1)); err != want {
							t.Errorf("reading: %v, want %v", err, want)
						}
					} else if err == nil || r.Started || !r.Wrote {
						t.Errorf("%v, %+v", err, r.Exchange)
					}
					r.ended(exchange.EndCanceled)
					if code, ok := b.server.AwaitReset(stream); !ok || code != xhttp2.ErrCodeCancel {
						t.Errorf("%v, %v", code, ok)
					}
				})
			})
		}
	}
}

func TestAnUploadIsClosedOnce(t *testing.T) {
	for name, respond := range map[string]func(b *bench, stream uint32){
		"answered at its end": func(b *bench, stream uint32) {
			b.server.ReadBody(stream)
			b.server.Respond(stream, 204, "")
		},
		"answered early, with an error": func(b *bench, stream uint32) { b.server.Respond(stream, 413, "") },
		"answered early, and read on": func(b *bench, stream uint32) {
			b.server.Respond(stream, 200, "")
			b.server.ReadBody(stream)
		},
		"reset": func(b *bench, stream uint32) { b.server.Reset(stream, xhttp2.ErrCodeInternal) },
		"reset after it was read": func(b *bench, stream uint32) {
			b.server.ReadBody(stream)
			b.server.Reset(stream, xhttp2.ErrCodeInternal)
		},
		"without a connection": func(b *bench, _ uint32) { b.server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, Config{}, func(b *bench) {
				b.server.Settings()
				body := text(strings.Repeat("more than a window ", 10_000))
				r := b.start(b.t.Context(), "POST", body)
				stream := b.request()
				synctest.Wait() // until the window is full: the upload closes only a body that it has read from
				respond(b, stream)
				<-r.done
				synctest.Wait()
				body.closed(t, 1)
				if !r.Touched {
					t.Error("the body counts as untouched")
				}
				if r.err == nil {
					r.resp.Body.Close()
				}
				body.closed(t, 1)
			})
		})
	}
}

func TestAnUntouchedUploadIsLeftForTheNextAttempt(t *testing.T) {
	connTest(t, Config{ExpectContinueTimeout: time.Hour}, func(b *bench) {
		b.server.Settings()
		body := text("body")
		r := b.startWith(b.t.Context(), "POST", body, "100-continue")
		b.server.Reset(b.request(), xhttp2.ErrCodeRefusedStream)
		r.ended(exchange.EndError)
		if !r.Refused || r.Touched || !r.Wrote || !r.Reset {
			t.Errorf("%v, %+v", r.err, r.Exchange)
		}
		body.closed(t, 0)
	})
}

func TestAnUntouchedUploadIsClosedOnceThereIsAResponse(t *testing.T) {
	connTest(t, Config{ExpectContinueTimeout: time.Hour}, func(b *bench) {
		b.server.Settings()
		body := text("body")
		r := b.startWith(b.t.Context(), "POST", body, "100-continue")
		b.server.Respond(b.request(), 417, "")
		<-r.done
		if r.err != nil || !r.Touched {
			t.Errorf("%v, %+v", r.err, r.Exchange)
		}
		body.closed(t, 1)
	})
}

// panicking is a body that cannot be read.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("no disk") }

func TestABodyThatCannotBeReadSaysSo(t *testing.T) {
	errDisk := errors.New("no disk")
	for name, c := range map[string]struct {
		body io.Reader
		text string
	}{
		"fails":  {io.MultiReader(strings.NewReader("some"), failing{errDisk}), "no disk"},
		"panics": {panicking{}, "peerpool: request body panicked: no disk"},
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, Config{}, func(b *bench) {
				b.server.Settings()
				body := &source{Reader: c.body}
				r := b.start(b.t.Context(), "POST", body)
				stream := b.request()
				<-r.done
				bad, ok := errors.AsType[*exchange.BodyError](r.err)
				if !ok || bad.Err.Error() != c.text || !r.Touched {
					t.Errorf("%v, %+v", r.err, r.Exchange)
				}
				r.ended(exchange.EndError)
				body.closed(t, 1)
				if _, ok := b.server.AwaitReset(stream); !ok {
					t.Error("the server still waits for the body")
				}
			})
		})
	}
}

// failing is a reader whose Read returns an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWhatTheServerSaysOfARequestIsTold(t *testing.T) {
	type told struct{ unprocessed, http1, reset, started bool }
	for name, c := range map[string]struct {
		send func(b *bench) // with streams 1 and 3 open
		want [2]told
	}{
		"REFUSED_STREAM":   {func(b *bench) { b.server.Reset(3, xhttp2.ErrCodeRefusedStream) }, [2]told{{}, {unprocessed: true, reset: true}}},
		"CANCEL":           {func(b *bench) { b.server.Reset(3, xhttp2.ErrCodeCancel) }, [2]told{{}, {reset: true}}},
		"HTTP_1_1":         {func(b *bench) { b.server.Reset(3, xhttp2.ErrCodeHTTP11Required) }, [2]told{{}, {http1: true, reset: true}}},
		"GOAWAY below":     {func(b *bench) { b.server.GoAway(1, xhttp2.ErrCodeNo) }, [2]told{{}, {unprocessed: true}}},
		"GOAWAY for error": {func(b *bench) { b.server.GoAway(0, xhttp2.ErrCodeInternal) }, [2]told{{}, {unprocessed: true}}},
		"GOAWAY for HTTP_1_1": {func(b *bench) { b.server.GoAway(0, xhttp2.ErrCodeHTTP11Required) },
			[2]told{{http1: true}, {http1: true, unprocessed: true}}},
		"GOAWAY above, and the end": {func(b *bench) {
			b.server.GoAway(3, xhttp2.ErrCodeNo)
			synctest.Wait()
		}, [2]told{}},
		"an interim response": {func(b *bench) { b.server.Head(3, 103, false) }, [2]told{{}, {started: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			connTest(t, Config{}, func(b *bench) {
				b.server.Settings()
				var runs [2]*run
				for i := range runs {
					runs[i] = b.start(b.t.Context(), "GET", nil)
					b.request()
				}
				c.send(b)
				synctest.Wait()
				b.server.Close()
				for i, r := range runs {
					r.ended(exchange.EndError)
					got := told{r.Refused, r.WantsHTTP1, r.Exchange.Reset, r.Started}
					if got != c.want[i] || !r.Wrote || r.Lost {
						t.Errorf("stream %d: %+v, want %+v; %+v", 2*i+1, got, c.want[i], r.err)
					}
				}
			})
		})
	}
}

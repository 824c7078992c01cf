package peerpool

//lint:file-ignore SA1019 ConfigureTransport is deprecated, and SDKs call it

import (
	"bytes"
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
)

// h2Origin starts an origin that speaks HTTP/2 over TLS, and HTTP/1.1.
func h2Origin(t *testing.T) *httptestutil.Origin {
	t.Helper()
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: &both})
}

func TestTheRequestsOfAFrontAreThoseOfItsTransport(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged) // net/http complains there when it cannot set HTTP/2 up
	defer log.SetOutput(before)
	plain, secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), h2Origin(t)
	for name, tr := range map[string]*Transport{
		"forced":      {TLSClientConfig: secure.ClientTLS(), ForceAttemptHTTP2: true},
		"new":         New(),
		"a dialer":    {DialContext: secure.Dial, Protocols: bothProtocols(), TLSClientConfig: secure.ClientTLS()},
		"a TLS dial":  {DialTLSContext: dialTLSOf(secure), Protocols: bothProtocols(), TLSClientConfig: secure.ClientTLS()},
		"proxy: none": {TLSClientConfig: secure.ClientTLS(), ForceAttemptHTTP2: true, Proxy: peerProxy(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			peerTransport(t, tr)
			if tr.TLSClientConfig == nil {
				tr.TLSClientConfig = secure.ClientTLS()
			}
			config := *tr.TLSClientConfig.Clone()
			front := tr.HTTPTransport()
			client := &http.Client{Transport: front}
			for range 2 {
				if name != "a dialer" { // which leads to the other origin
					peerGet(t, front, plain.URL(), nil)
				}
				if seen := peerSend(t, client.Transport, peerRequest(t, secure.URL(), nil)); seen.Proto != "HTTP/2.0" {
					t.Errorf("the origin was spoken to in %s", seen.Proto)
				}
			}
			s := tr.Stats()
			if want := uint64(len(s.Peers)); s.Hits != want || s.Opened != want || want == 0 {
				t.Errorf("the Transport had %d hits on %d connections, want %d of each", s.Hits, s.Opened, want)
			}
			if front.TLSClientConfig != tr.TLSClientConfig {
				t.Errorf("the front has a TLSClientConfig of its own")
			}
			if name != "a TLS dial" && !reflect.DeepEqual(tr.TLSClientConfig.NextProtos, config.NextProtos) {
				t.Errorf("net/http has written to the configuration: %q", tr.TLSClientConfig.NextProtos)
			}
			client.CloseIdleConnections()
			if idle := tr.Stats().Idle; idle != 0 {
				t.Errorf("%d connections idle after CloseIdleConnections", idle)
			}
		})
	}
	if logged.Len() > 0 {
		t.Errorf("the log says: %s", &logged)
	}
}

func bothProtocols() *http.Protocols {
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	return &both
}

func dialTLSOf(o *httptestutil.Origin) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		cfg := o.ClientTLS()
		cfg.NextProtos = []string{"h2"}
		return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
	}
}

// The test sets one field after the other.
func TestEveryFieldOfAFrontCountsUntilTheFirstRequest(t *testing.T) {
	for _, field := range exportedFields(reflect.TypeFor[http.Transport]()) {
		t.Run(field.Name, func(t *testing.T) {
			tr := peerTransport(t, &Transport{})
			front := tr.HTTPTransport()
			tr.Stats() // does not count as a use
			value := anything(t, field.Type, 7)
			reflect.ValueOf(front).Elem().FieldByIndex(field.Index).Set(value)
			front.RegisterProtocol("none", nothingServed{})
			req := peerRequest(t, "http://front.test", nil)
			ctx, cancel := context.WithCancel(req.Context())
			cancel() // it is the first request, and goes nowhere
			peerTry(front, req.WithContext(ctx))
			got := reflect.ValueOf(tr).Elem().FieldByName(field.Name)
			if field.Type.Kind() == reflect.Func {
				if numberOf(got) != numberOf(value) {
					t.Errorf("the Transport has not got it: %v", got)
				}
				return
			}
			if !reflect.DeepEqual(got.Interface(), value.Interface()) {
				t.Errorf("the Transport has %v, want %v", got, value)
			}
			for _, other := range exportedFields(reflect.TypeFor[http.Transport]()) {
				v := reflect.ValueOf(tr).Elem().FieldByName(other.Name)
				if other.Name != field.Name && !v.IsZero() && !strings.HasPrefix(field.Name, "DialTLS") {
					t.Errorf("the Transport has got a %s, too: %v", other.Name, v)
				}
			}
		})
	}
}

type nothingServed struct{}

func (nothingServed) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, http.ErrNotSupported
}

func TestTheLimitsOfAFrontAreThoseOfThePool(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	front := tr.HTTPTransport()
	tr.Stats()
	front.MaxIdleConnsPerHost = -1
	peerGet(t, front, o.URL(), nil)
	if s := tr.Stats(); s.Idle != 0 || s.Closes[CloseReason("key_idle_limit")] != 1 {
		t.Errorf("%d idle, closed for %v", s.Idle, s.Closes)
	}
}

func TestTheIdleLimitsOfAFrontCountAlthoughOthersHaveUsedTheTransport(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	peerGet(t, tr, o.URL(), nil)
	front := tr.HTTPTransport()
	front.MaxIdleConnsPerHost = -1
	peerGet(t, front, o.URL(), nil)
	if s := tr.Stats(); s.Idle != 0 || s.Closes[CloseReason("key_idle_limit")] != 1 {
		t.Errorf("%d idle, closed for %v", s.Idle, s.Closes)
	}
}

func TestANetDialerGivenToAFrontBecomesTheDialer(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	var seen seenSockets
	tr := peerTransport(t, &Transport{Resolver: peerLoopback(t, "a.test", "b.test")})
	front := tr.HTTPTransport()
	front.DialContext = (&net.Dialer{Control: seen.control}).DialContext
	peerGet(t, front, peerURL(t, o, "a.test"), nil)
	peerGet(t, front, peerURL(t, o, "b.test"), nil)
	seen.want(t, "tcp4 "+o.Addr())
}

func TestAConfigurationOfTLSThatIsChangedInPlaceCounts(t *testing.T) {
	o := h2Origin(t)
	tr := peerTransport(t, &Transport{TLSClientConfig: &tls.Config{}, ForceAttemptHTTP2: true})
	front := tr.HTTPTransport()
	front.TLSClientConfig.RootCAs = o.ClientTLS().RootCAs
	peerGet(t, front, o.URL(), nil)
}

func TestAChangeOfAFrontThatComesTooLateIsAnError(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{MaxConnsPerHost: 7})
	same, equal, other := tr.HTTPTransport(), tr.HTTPTransport(), tr.HTTPTransport()
	first := tr.HTTPTransport()
	first.DisableCompression = true
	peerGet(t, first, o.URL(), nil)
	first.DisableCompression = false // has no effect
	peerGet(t, first, o.URL(), nil)
	if !tr.DisableCompression {
		t.Error("a later change has had an effect")
	}
	peerGet(t, same, o.URL(), nil)
	equal.DisableCompression = true
	peerGet(t, equal, o.URL(), nil)

	other.MaxConnsPerHost, other.DisableCompression, other.TLSClientConfig = 9, false, &tls.Config{}
	for range 2 {
		body := &closeCounter{Reader: strings.NewReader("body")}
		req := peerRequest(t, o.URL(), nil)
		req.Method, req.Body, req.ContentLength = http.MethodPost, body, 4
		err := peerTry(other, req)
		if err == nil || body.closed != 1 {
			t.Fatalf("got %v, and the body was closed %d times", err, body.closed)
		}
		for _, want := range []string{"TLSClientConfig", "MaxConnsPerHost", "t.Clone().HTTPTransport()"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name %s", err, want)
			}
		}
	}
	peerGet(t, tr.Clone().HTTPTransport(), o.URL(), nil)
}

// The cases are what programs do with a Clone.
func TestACloneOfAFrontDoesNotGoPastTheTransportInSilence(t *testing.T) {
	plain, secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{}), h2Origin(t)
	dial := new(net.Dialer).DialContext
	for name, c := range map[string]struct {
		behind *Transport
		change func(*http.Transport)
		target string
	}{
		"http":                              {New(), nil, plain.URL()},
		"https":                             {New(), nil, secure.URL()},
		"no proxy":                          {&Transport{}, nil, plain.URL()},
		"no proxy, https":                   {&Transport{}, nil, secure.URL()},
		"a dialer, http":                    {New(), func(c *http.Transport) { c.DialContext = dial }, plain.URL()},
		"a dialer, https":                   {New(), func(c *http.Transport) { c.DialContext = dial }, secure.URL()},
		"a dialer without a proxy, https":   {&Transport{}, func(c *http.Transport) { c.DialContext = dial }, secure.URL()},
		"a dialer and another proxy, https": {New(), func(c *http.Transport) { c.DialContext, c.Proxy = dial, nil }, secure.URL()},
		"another proxy":                     {New(), func(c *http.Transport) { c.Proxy = nil }, plain.URL()},
		"TLS":                               {New(), func(c *http.Transport) { c.TLSClientConfig = secure.ClientTLS() }, secure.URL()},
		"a Clone of a Clone":                {New(), func(c *http.Transport) { *c = http.Transport{Proxy: c.Clone().Proxy} }, plain.URL()},
		"a dialer and another proxy":        {New(), func(c *http.Transport) { c.DialContext, c.Proxy = dial, nil }, plain.URL()},
		"a dialer without a proxy":          {&Transport{}, func(c *http.Transport) { c.DialContext = dial }, plain.URL()},
		"Docker's": {New(), func(c *http.Transport) {
			c.DialContext, c.Proxy, c.DisableCompression = dial, http.ProxyFromEnvironment, false
		}, plain.URL()},
	} {
		t.Run(name, func(t *testing.T) {
			clone := peerTransport(t, c.behind).HTTPTransport().Clone()
			if c.change != nil {
				c.change(clone)
			}
			if err := peerFail(t, clone, c.target, nil); !strings.Contains(err.Error(), "goes past the peerpool.Transport") {
				t.Errorf("the error is %q, want one that says that the request goes past the Transport", err)
			}
			plain.WaitOpenConns(0)
			secure.WaitOpenConns(0)
			if n := plain.Requests() + secure.Requests(); n != 0 {
				t.Errorf("the origins have got %d requests", n)
			}
		})
	}
}

func onlyUnencrypted() *http.Protocols {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &p
}

func TestAnUpgradeOverHTTPSThroughAFrontSaysThatItGoesPast(t *testing.T) {
	o := secureOrigin(t)
	for _, tr := range []*Transport{{TLSClientConfig: o.ClientTLS()}, New()} {
		front := peerTransport(t, tr).HTTPTransport()
		req := peerRequest(t, o.URL(), nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		if err := peerTry(front, req); err == nil || !strings.Contains(err.Error(), "upgrade") ||
			!strings.Contains(err.Error(), "goes past the peerpool.Transport") {
			t.Errorf("the error is %v, want one that says what the matter is", err)
		}
	}
}

func TestFromHTTPOfAFrontHasTheSettingsBehindIt(t *testing.T) {
	o := h2Origin(t)
	proxy := peerProxy(nil)
	behind := &Transport{Proxy: proxy, DialTLSContext: dialTLSOf(o), Dialer: &net.Dialer{FallbackDelay: 7}, ForceAttemptHTTP2: true}
	front := behind.HTTPTransport()
	front.MaxIdleConns = 7
	clone := front.Clone()
	clone.MaxIdleConns = 8
	for _, from := range []*http.Transport{front, clone} {
		tr := peerTransport(t, FromHTTP(from))
		if tr.MaxIdleConns != from.MaxIdleConns || tr.Dialer.FallbackDelay != 7 || tr.DialContext != nil ||
			reflect.ValueOf(tr.Proxy).Pointer() != reflect.ValueOf(proxy).Pointer() {
			t.Errorf("it has %+v", tr.http())
		}
		if seen := peerGet(t, tr, o.URL(), nil); seen.Proto != "HTTP/2.0" {
			t.Errorf("the origin was spoken to in %s", seen.Proto)
		}
	}
	plain := FromHTTP((&Transport{}).HTTPTransport())
	if p := plain.protocols(&noOptions); !p.HTTP2() || plain.DialContext != nil || plain.DialTLSContext != nil {
		t.Error("FromHTTP of a front with no settings has some")
	}
}

func TestAFrontCannotBeTakenOverByAnotherHTTP2(t *testing.T) {
	o := h2Origin(t)
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true})
	front := tr.HTTPTransport()
	_ = http2.ConfigureTransport(front) // an error with Go 1.26, without effect with Go 1.27
	peerGet(t, front, o.URL(), nil)
	if s := tr.Stats(); s.Opened != 1 {
		t.Errorf("the Transport has opened %d connections, want 1", s.Opened)
	}
	front.CloseIdleConnections()
	if idle := tr.Stats().Idle; idle != 0 {
		t.Errorf("%d connections idle after CloseIdleConnections", idle)
	}
}

func TestFirstRequestsAtOnceAndClonesMeanwhileDoNotRace(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), httptestutil.Bound) // or they wait for ever where descriptors run out
	defer cancel()
	for range 20 {
		tr := peerTransport(t, &Transport{})
		front := tr.HTTPTransport()
		front.DisableCompression = true
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { // an error is right if the other was faster
				err := peerTry(front, peerRequest(t, o.URL(), nil).WithContext(ctx))
				if err != nil && !strings.Contains(err.Error(), "DisableCompression of this http.Transport") {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if err := peerTry(tr, peerRequest(t, o.URL(), nil).WithContext(ctx)); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() { tr.Clone(); tr.HTTPTransport(); front.Clone(); tr.Stats() })
		}
		wg.Wait()
	}
}

func TestAPeerOfTheContextCountsBehindAFront(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	peerGet(t, tr.HTTPTransport(), "http://example.test", peerNew(t, PeerOptions{Addr: o.Addr(), Group: "g"}))
	if ids := peerKeys(tr); len(ids) != 1 || ids[0].Group() != "g" {
		t.Errorf("the identities are %v", ids)
	}
}

// The Protocols and TLSNextProto of the front are not those of the Transport.
func TestWhatAProgramAddsToAFrontInPlaceCounts(t *testing.T) {
	next := func(string, *tls.Conn) http.RoundTripper { return nothingServed{} }
	for name, behind := range map[string]*Transport{
		"nothing set": {},
		"HTTP/1 only": {TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{"other": next}},
		"protocols":   {Protocols: onlyUnencrypted()},
	} {
		t.Run(name, func(t *testing.T) {
			before := behind.protocols(&noOptions)
			others := len(behind.TLSNextProto)
			front := peerTransport(t, behind).HTTPTransport()
			front.Protocols.SetHTTP2(true)
			front.TLSNextProto["mine"] = next
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			peerTry(front, peerRequest(t, "http://front.test", nil).WithContext(ctx))
			if p := behind.protocols(&noOptions); !p.HTTP2() || p.HTTP1() != before.HTTP1() || p.UnencryptedHTTP2() != before.UnencryptedHTTP2() {
				t.Errorf("the Transport speaks %v, want HTTP/2 besides %v", p, before)
			}
			if n := len(behind.TLSNextProto); n != others+1 || behind.TLSNextProto["mine"] == nil {
				t.Errorf("TLSNextProto has %d entries, want one more than %d", n, others)
			}
		})
	}
}

func TestAFrontThatIsGivenUnencryptedHTTP2SpeaksIt(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{Protocols: onlyUnencrypted()})
	tr := peerTransport(t, New())
	front := tr.HTTPTransport()
	front.Protocols = onlyUnencrypted()
	if seen := peerGet(t, front, o.URL(), nil); seen.Proto != "HTTP/2.0" {
		t.Errorf("the origin was spoken to in %s", seen.Proto)
	}
}

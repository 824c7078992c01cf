package peerpool

//lint:file-ignore SA1019 Dial and DialTLS are deprecated, and carried over because callers may still set them

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// This fails if a Go release makes DialContext of the default transport another function.
func TestTheDialContextOfTheDefaultTransportIsNoDialerOfTheUsers(t *testing.T) {
	theirs := http.DefaultTransport.(*http.Transport)
	if theirs.DialContext == nil {
		t.Fatal("http.DefaultTransport has no DialContext any more")
	}
	for name, from := range map[string]*http.Transport{
		"the default transport": theirs,
		"a clone":               theirs.Clone(),
		"a clone of a clone":    theirs.Clone().Clone(),
	} {
		t.Run(name, func(t *testing.T) {
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
			tr := peerTransport(t, FromHTTP(from))
			tr.Resolver = peerLoopback(t, "a.test", "b.test")
			if tr.DialContext != nil || tr.Dialer != nil {
				t.Errorf("DialContext is set: %v, Dialer is %+v", tr.DialContext != nil, tr.Dialer)
			}
			first := peerGet(t, tr, peerURL(t, o, "a.test"), nil)
			if second := peerGet(t, tr, peerURL(t, o, "b.test"), nil); second.Conn != first.Conn {
				t.Error("two hosts at one address have a connection each: identities hold names")
			}
			if ids := peerKeys(tr); len(ids) != 1 || ids[0].Address() != o.Addr() {
				t.Errorf("the identities are %v, want one with the address %s", ids, o.Addr())
			}
		})
	}
}

func TestANetDialersMethodBecomesTheDialer(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	d := &net.Dialer{Timeout: 7 * time.Second, KeepAlive: -1, FallbackDelay: -1, LocalAddr: local}
	multipath := &net.Dialer{}
	multipath.SetMultipathTCP(true)
	for name, c := range map[string]struct {
		from *http.Transport
		want *net.Dialer
	}{
		"DialContext":                {&http.Transport{DialContext: d.DialContext}, d},
		"Dial":                       {&http.Transport{Dial: d.Dial}, d},
		"DialContext before Dial":    {&http.Transport{DialContext: d.DialContext, Dial: multipath.Dial}, d},
		"a setting that has no name": {&http.Transport{DialContext: multipath.DialContext}, multipath},
		"a zero one":                 {&http.Transport{DialContext: new(net.Dialer).DialContext}, &net.Dialer{}},
		"embedded":                   {&http.Transport{DialContext: struct{ *net.Dialer }{d}.DialContext}, d},
		"with ours":                  {&http.Transport{DialContext: (&net.Dialer{Timeout: dialTimeout, KeepAlive: tcpKeepAlive}).DialContext}, nil},
	} {
		tr := FromHTTP(c.from)
		if tr.DialContext != nil || tr.Dial != nil || !reflect.DeepEqual(tr.Dialer, c.want) {
			t.Errorf("%s: the Dialer is %+v, want %+v; functions are left: %v", name, tr.Dialer, c.want, tr.DialContext != nil || tr.Dial != nil)
		}
		if tr.Dialer == d {
			t.Errorf("%s: the Dialer is that of the caller, and not a copy", name)
		}
	}
}

type namedDialer struct{ net.Dialer }

func (d *namedDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.Dialer.DialContext(ctx, network, addr)
}

func TestADialFunctionOfTheUsersStays(t *testing.T) {
	d := new(net.Dialer)
	for name, from := range map[string]*http.Transport{
		"around a net.Dialer": {DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return d.DialContext(ctx, network, addr)
		}},
		"of another type":      {DialContext: new(namedDialer).DialContext},
		"of package net":       {Dial: net.Dial},
		"of a net.Dialer, TLS": {DialTLS: d.Dial, DialContext: new(namedDialer).DialContext},
	} {
		tr := FromHTTP(from)
		if (tr.DialContext == nil) != (from.DialContext == nil) || (tr.Dial == nil) != (from.Dial == nil) || tr.Dialer != nil ||
			(tr.DialTLS == nil) != (from.DialTLS == nil) {
			t.Errorf("%s: it is gone", name)
		}
	}
}

// TestFromHTTPKeepsTheHTTPVersions tests a Transport whose DialContext becomes a Dialer. net/http offers no HTTP/2 if there
// is a DialContext.
func TestFromHTTPKeepsTheHTTPVersions(t *testing.T) {
	dial := new(net.Dialer).DialContext
	var unencrypted http.Protocols
	unencrypted.SetUnencryptedHTTP2(true)
	for name, from := range map[string]*http.Transport{
		"nothing said":      {},
		"a net.Dialer":      {DialContext: dial},
		"forced":            {DialContext: dial, ForceAttemptHTTP2: true},
		"with TLS settings": {DialContext: dial, TLSClientConfig: &tls.Config{}},
		"turned off":        {DialContext: dial, ForceAttemptHTTP2: true, TLSNextProto: noALPN()},
	} {
		tr := FromHTTP(from)
		want := from.TLSNextProto[protoHTTP2] != nil // net/http has set itself up by now
		if p := tr.protocols(&noOptions); p.HTTP2() != want || !p.HTTP1() {
			t.Errorf("%s: HTTP/2 is offered: %v, by net/http: %v", name, p.HTTP2(), want)
		}
	}
	tr := FromHTTP(&http.Transport{DialContext: dial, Protocols: &unencrypted})
	if p := tr.protocols(&noOptions); p != unencrypted {
		t.Errorf("Protocols have become %v", p)
	}
}

func noALPN() map[string]func(string, *tls.Conn) http.RoundTripper {
	return map[string]func(string, *tls.Conn) http.RoundTripper{}
}

func TestNewHasWhatTheDefaultTransportHas(t *testing.T) {
	ours, theirs := New(), http.DefaultTransport.(*http.Transport)
	differ := []string{"MaxIdleConns", "IdleConnTimeout"} // limits of ours
	// The first is ours to do; the others are set by net/http itself, as it is used.
	ofUse := []string{"DialContext", "TLSClientConfig", "TLSNextProto", "HTTP2"}
	for _, field := range exportedFields(reflect.TypeFor[http.Transport]()) {
		have := reflect.ValueOf(ours).Elem().FieldByName(field.Name)
		want := reflect.ValueOf(theirs).Elem().FieldByName(field.Name)
		switch {
		case slices.Contains(ofUse, field.Name):
			if !have.IsZero() {
				t.Errorf("%s is set", field.Name)
			}
		case field.Name == "Proxy":
			if have.Pointer() != want.Pointer() {
				t.Error("the proxy is not that of the environment")
			}
		case slices.Contains(differ, field.Name):
			if have.IsZero() || reflect.DeepEqual(have.Interface(), want.Interface()) {
				t.Errorf("%s is %v, want a limit of ours", field.Name, have)
			}
		case !reflect.DeepEqual(have.Interface(), want.Interface()):
			t.Errorf("%s is %v, want %v", field.Name, have, want)
		}
	}
}

func TestNewSpeaksHTTP2WithWhoeverOffersIt(t *testing.T) {
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t), Protocols: &both})
	tr := peerTransport(t, New())
	tr.TLSClientConfig = o.ClientTLS()
	if seen := peerGet(t, tr, o.URL(), nil); seen.Proto != "HTTP/2.0" {
		t.Errorf("the origin was spoken to in %s", seen.Proto)
	}
}

package peerpool

import (
	"reflect"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// peerAsk is one way to ask for the same resource.
type peerAsk func(t *testing.T) httptestutil.Seen

// identityCase changes one attribute of an identity and nothing else.
type identityCase struct {
	name   string
	covers []string // the fields that it changes, as "PeerOptions.Addr"
	// asks returns requests that differ in that attribute, pair by pair.
	asks func(t *testing.T) []peerAsk
}

// identityCases holds every attribute of an identity.
func identityCases() []identityCase {
	var all []identityCase
	for _, cases := range [][]identityCase{addressCases, tlsCases, tlsConfigCases, proxyCases} {
		all = append(all, cases...)
	}
	return all
}

func TestRequestsThatDifferInOneAttributeDoNotShareAConnection(t *testing.T) {
	differs := make(map[string]bool) // by the name of a field of Identity
	ran := 0
	for _, c := range identityCases() {
		t.Run(c.name, func(t *testing.T) {
			ran++
			asks := c.asks(t)
			defer noteDifferences(t, differs)
			first := make([]httptestutil.Seen, len(asks))
			for i, ask := range asks {
				if first[i] = ask(t); first[i].Seq != 1 {
					t.Fatalf("request %d is number %d on its connection, want a connection of its own", i, first[i].Seq)
				}
			}
			for i, ask := range asks {
				again := ask(t)
				if again.Origin != first[i].Origin || again.Conn != first[i].Conn || again.Seq != 2 {
					t.Errorf("request %d again is number %d on connection %d of %s, want number 2 on connection %d of %s",
						i, again.Seq, again.Conn, again.Origin, first[i].Conn, first[i].Origin)
				}
			}
		})
	}
	if ran == len(identityCases()) && !t.Failed() { // -run may select some of them
		wantEveryFieldToDiffer(t, differs)
	}
}

// noteDifferences notes the fields in which the identities differ that the Transports of the test t have connections to.
func noteDifferences(t *testing.T, differs map[string]bool) {
	t.Helper()
	var first reflect.Value
	for _, tr := range madeFor.of(t.Name()) {
		for _, p := range tr.Stats().Peers {
			v := reflect.ValueOf(p.Identity)
			if !first.IsValid() {
				first = v
			}
			for i := range v.NumField() {
				if !v.Field(i).Equal(first.Field(i)) {
					differs[v.Type().Field(i).Name] = true
				}
			}
		}
	}
}

func wantEveryFieldToDiffer(t *testing.T, differs map[string]bool) {
	t.Helper()
	for field := range reflect.TypeFor[Identity]().Fields() {
		if !differs[field.Name] {
			t.Errorf("no case of identityCases makes two connections that differ in Identity.%s: set the field where a route is found "+
				"(route.go, tls.go, proxy.go), then add a case to identity_address_test.go, identity_tls_test.go or identity_proxy_test.go",
				field.Name)
		}
	}
}

// sharingCases change what is not part of an identity.
var sharingCases = []identityCase{
	{name: "the host of a plain URL", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		tr := peerTransport(t, &Transport{Resolver: peerLoopback(t, "a.test", "b.test")})
		return []peerAsk{askURL(tr, peerURL(t, o, "a.test"), nil), askURL(tr, peerURL(t, o, "b.test"), nil)}
	}},
	{name: "the case of a host with TLS", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		tr := peerTransport(t, &Transport{
			Resolver:        peerLoopback(t, "a.example.test", "A.Example.Test"),
			TLSClientConfig: o.ClientTLS(),
		})
		return []peerAsk{
			askURL(tr, peerURL(t, o, "a.example.test"), nil),
			askURL(tr, peerURL(t, o, "A.Example.Test"), nil),
		}
	}},
	{name: "a Unicode host and its ASCII form", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		tr := peerTransport(t, &Transport{DialContext: o.Dial})
		return []peerAsk{askURL(tr, "http://bücher.test", nil), askURL(tr, "http://xn--bcher-kva.test", nil)}
	}},
	{name: "a port that the scheme implies", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		tr := peerTransport(t, &Transport{DialContext: o.Dial})
		return []peerAsk{askURL(tr, "http://a.test", nil), askURL(tr, "http://a.test:80/path?query", nil)}
	}},
	{name: "two Peers with equal options", asks: func(t *testing.T) []peerAsk {
		o, ca := mutualOrigin(t)
		cert := ca.Client("a")
		tr := peerTransport(t, &Transport{})
		var asks []peerAsk
		for range 2 {
			copied := cert
			asks = append(asks, askURL(tr, o.URL(), peerNew(t, PeerOptions{
				RootCAs: ca.Pool(), ClientCertificate: &copied, ServerName: "a.example.test", Group: "g",
			})))
		}
		return asks
	}},
	{name: "two TLS configurations with equal contents", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		return askConfigs(t, &Transport{}, o.URL(), o.ClientTLS(), o.ClientTLS())
	}},
	{name: "limits", asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		tr := peerTransport(t, &Transport{})
		hour := time.Hour
		return []peerAsk{
			askURL(tr, o.URL(), nil),
			askURL(tr, o.URL(), peerNew(t, PeerOptions{MaxConns: 7})),
			askURL(tr, o.URL(), peerNew(t, PeerOptions{MaxConnReuse: 1000, MaxConnLifetime: 1e15})),
			askURL(tr, o.URL(), peerNew(t, PeerOptions{IdleTimeout: &hour})),
		}
	}},
}

func TestRequestsThatDifferInNoAttributeShareAConnection(t *testing.T) {
	for _, c := range sharingCases {
		t.Run(c.name, func(t *testing.T) {
			var first httptestutil.Seen
			for i, ask := range c.asks(t) {
				got := ask(t)
				if i == 0 {
					first = got
				}
				if got.Conn != first.Conn || got.Seq != i+1 {
					t.Errorf("request %d is number %d on connection %d, want number %d on connection %d",
						i, got.Seq, got.Conn, i+1, first.Conn)
				}
			}
		})
	}
}

// askURL asks for a URL.
func askURL(tr *Transport, target string, peer *Peer) peerAsk {
	return func(t *testing.T) httptestutil.Seen {
		t.Helper()
		return peerGet(t, tr, target, peer)
	}
}

// askPeers asks an origin as each of the peers; zero options ask without a peer.
func askPeers(t *testing.T, tr *Transport, target string, options ...PeerOptions) []peerAsk {
	t.Helper()
	peerTransport(t, tr)
	var asks []peerAsk
	for _, opts := range options {
		asks = append(asks, askURL(tr, target, peerNew(t, opts)))
	}
	return asks
}

// mutualOrigin starts an origin that asks for a client certificate, of whichever authority.
func mutualOrigin(t *testing.T) (*httptestutil.Origin, *httptestutil.CA) {
	t.Helper()
	ca := httptestutil.NewCA(t)
	return httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca, TLS: peerAsksForCert()}), ca
}

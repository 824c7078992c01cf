package peerpool

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// proxyCases are the attributes of an identity that say which way a connection takes.
var proxyCases = []identityCase{
	{name: "proxy, for a tunnel", covers: []string{"PeerOptions.Proxy"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		one := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		two := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		return askPeers(t, &Transport{TLSClientConfig: o.ClientTLS()}, o.URL(),
			PeerOptions{}, PeerOptions{Proxy: one.URL()}, PeerOptions{Proxy: two.URL()})
	}},
	{name: "proxy, for requests that name their target", covers: []string{"PeerOptions.Proxy"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		one := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		two := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		return askPeers(t, &Transport{}, o.URL(),
			PeerOptions{}, PeerOptions{Proxy: one.URL()}, PeerOptions{Proxy: two.URL()})
	}},
	{name: "proxy that the Transport chooses", covers: []string{"Transport.Proxy"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		tr := peerTransport(t, &Transport{Proxy: tenantProxy})
		return []peerAsk{
			askTenant(tr, o.URL(), tenant{}),
			askTenant(tr, o.URL(), tenant{proxy: p.URL()}),
			askTenant(tr, o.URL(), tenant{proxy: p.URLAs("a", "")}),
		}
	}},
	{name: "no proxy", covers: []string{"PeerOptions.NoProxy"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		return askPeers(t, &Transport{Proxy: peerProxy(p.URL())}, o.URL(), PeerOptions{}, PeerOptions{NoProxy: true})
	}},
	{name: "scheme of a proxy", covers: []string{"PeerOptions.Proxy"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		p := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{})
		byName := *p.URL()
		byName.Scheme = "socks5h"
		return askPeers(t, &Transport{}, o.URL(), PeerOptions{Proxy: p.URL()}, PeerOptions{Proxy: &byName})
	}},
	credentialsCase("credentials of a tunnel", "https", httptestutil.NewHTTPProxy),
	credentialsCase("credentials of requests that name their target", "http", httptestutil.NewHTTPProxy),
	credentialsCase("credentials of SOCKS", "http", httptestutil.NewSOCKS5Proxy),
	{name: "CONNECT header", covers: []string{"Transport.ProxyConnectHeader"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), Proxy: peerProxy(p.URL())})
		var asks []peerAsk
		for _, header := range []http.Header{nil, {"X-Tenant": {"a"}}, {"X-Tenant": {"b"}}, {"X-Tenant": {"a", "b"}}} {
			asks = append(asks, func(t *testing.T) httptestutil.Seen {
				t.Helper()
				tr.ProxyConnectHeader = header
				return peerGet(t, tr, o.URL(), nil)
			})
		}
		return asks
	}},
	{name: "CONNECT header of a tenant", covers: []string{"Transport.GetProxyConnectHeader"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		return askTenants(t, o, nil)
	}},
	{name: "CONNECT header of a tenant, for a plain target that a Peer names", covers: []string{"Transport.GetProxyConnectHeader"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		return askTenants(t, o, peerNew(t, PeerOptions{Addr: o.Addr()}))
	}},
	{name: "target of a tunnel", covers: []string{"PeerOptions.Addr"}, asks: func(t *testing.T) []peerAsk {
		ca := httptestutil.NewCA(t)
		one := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca})
		two := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: ca})
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		return askPeers(t, &Transport{TLSClientConfig: one.ClientTLS(), Proxy: peerProxy(p.URL())}, one.URL(),
			PeerOptions{}, PeerOptions{Addr: two.Addr()})
	}},
	{name: "target of SOCKS", covers: []string{"PeerOptions.Addr"}, asks: func(t *testing.T) []peerAsk {
		one := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		two := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		p := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{})
		tr := peerTransport(t, &Transport{Proxy: peerProxy(p.URL())})
		return []peerAsk{askURL(tr, one.URL(), nil), askURL(tr, two.URL(), nil)}
	}},
	{name: "TLS with the proxy", covers: []string{"Transport.TLSClientConfig"}, asks: func(t *testing.T) []peerAsk {
		o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{CA: httptestutil.NewCA(t)})
		strict := &tls.Config{RootCAs: p.CA().Pool()}
		lax := &tls.Config{InsecureSkipVerify: true}
		return askConfigs(t, &Transport{Proxy: peerProxy(p.URL())}, o.URL(), strict, lax)
	}},
}

// credentialsCase asks one proxy with different credentials. A user's name may end where another's password begins.
func credentialsCase(name, scheme string, start func(testing.TB, httptestutil.ProxyOptions) *httptestutil.Proxy) identityCase {
	return identityCase{name: name, covers: []string{"PeerOptions.Proxy"}, asks: func(t *testing.T) []peerAsk {
		opts := httptestutil.OriginOptions{}
		if scheme == "https" {
			opts.CA = httptestutil.NewCA(t)
		}
		o := httptestutil.NewOrigin(t, opts)
		p := start(t, httptestutil.ProxyOptions{})
		return askPeers(t, &Transport{TLSClientConfig: o.ClientTLS()}, o.URL(),
			PeerOptions{Proxy: p.URL()},
			PeerOptions{Proxy: p.URLAs("user", "secret")},
			PeerOptions{Proxy: p.URLAs("user", "Secret")},
			PeerOptions{Proxy: p.URLAs("User", "secret")},
			PeerOptions{Proxy: p.URLAs("users", "ecret")},
			PeerOptions{Proxy: p.URLAs("user:sec", "ret")},
			PeerOptions{Proxy: p.URLAs("user", "sec:ret")},
		)
	}}
}

// tenant is the tenant for which a request is made.
type tenant struct {
	name  string
	proxy *url.URL
}

type tenantKey struct{}

func tenantOf(ctx context.Context) tenant { return ctx.Value(tenantKey{}).(tenant) }

// tenantProxy is a Transport.Proxy that depends on the tenant.
func tenantProxy(req *http.Request) (*url.URL, error) { return tenantOf(req.Context()).proxy, nil }

// tenantHeader is a GetProxyConnectHeader that depends on the tenant.
func tenantHeader(ctx context.Context, _ *url.URL, _ string) (http.Header, error) {
	return http.Header{"X-Tenant": {tenantOf(ctx).name}}, nil
}

func askTenant(tr *Transport, target string, who tenant) peerAsk {
	return func(t *testing.T) httptestutil.Seen {
		t.Helper()
		return peerSend(t, tr, tenantRequest(t, target, nil, who))
	}
}

func tenantRequest(t *testing.T, target string, peer *Peer, who tenant) *http.Request {
	t.Helper()
	req := peerRequest(t, target, peer)
	return req.WithContext(context.WithValue(req.Context(), tenantKey{}, who))
}

// askTenants asks through one proxy for two tenants, whose tunnels the proxy tells apart.
func askTenants(t *testing.T, o *httptestutil.Origin, peer *Peer) []peerAsk {
	t.Helper()
	p := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
	tr := peerTransport(t, &Transport{
		TLSClientConfig: o.ClientTLS(), Proxy: peerProxy(p.URL()), GetProxyConnectHeader: tenantHeader,
	})
	var asks []peerAsk
	for _, name := range []string{"a", "b"} {
		asks = append(asks, func(t *testing.T) httptestutil.Seen {
			t.Helper()
			seen := peerSend(t, tr, tenantRequest(t, o.URL(), peer, tenant{name: name}))
			// The origin numbers the tunnels as the proxy does.
			if tunnels := p.Asked(); tunnels[seen.Conn-1].Header.Get("X-Tenant") != name {
				t.Errorf("the request of tenant %s went through the tunnel of %q", name, tunnels[seen.Conn-1].Header["X-Tenant"])
			}
			return seen
		})
	}
	return asks
}

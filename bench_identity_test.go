package peerpool

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// lookUp is what a request does to find its identity: where it wants to go, and the route that leads there.
func lookUp(b *testing.B, t *Transport, req *http.Request, peer *Peer) *route {
	to, err := t.destination(req, peer)
	if err != nil {
		b.Fatal(err)
	}
	r := t.core.routes.get(&to.key)
	if r == nil || !r.current() {
		b.Fatal("the route is not known")
	}
	return r
}

// learnRoutes makes the route of a request known, as the first request to a host does.
func learnRoutes(b *testing.B, t *Transport, req *http.Request, peer *Peer) *route {
	b.Helper()
	t.use()
	to, err := t.destination(req, peer)
	if err != nil {
		b.Fatal(err)
	}
	r, _, err := t.findRoute(b.Context(), req.URL, to)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func benchRequest(b *testing.B, rawURL string) *http.Request {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, rawURL, nil)
	if err != nil {
		b.Fatal(err)
	}
	return req
}

// BenchmarkIdentityLookUp finds the identity of a request to a host that the Transport knows.
func BenchmarkIdentityLookUp(b *testing.B) {
	peer, err := NewPeer(PeerOptions{Addr: "192.0.2.1:443", ServerName: "example.test", Group: "a"})
	if err != nil {
		b.Fatal(err)
	}
	proxy := http.ProxyURL(&url.URL{Scheme: "http", Host: "192.0.2.2:3128", User: url.UserPassword("u", "p")})
	for _, c := range []struct {
		name, url string
		transport *Transport
		peer      *Peer
	}{
		{"plain", "http://192.0.2.1/path", &Transport{}, nil},
		{"tls", "https://192.0.2.1/path", &Transport{TLSClientConfig: &tls.Config{ServerName: "example.test"}}, nil},
		{"peer", "https://example.test/path", &Transport{}, peer},
		{"proxy", "https://example.test/path", &Transport{Proxy: proxy}, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			req := benchRequest(b, c.url)
			learnRoutes(b, c.transport, req, c.peer)
			b.ReportAllocs()
			for b.Loop() {
				lookUp(b, c.transport, req, c.peer)
			}
		})
	}
}

// BenchmarkIdentityLookUpManyHosts goes from host to host, each of which is known.
func BenchmarkIdentityLookUpManyHosts(b *testing.B) {
	const hosts = 10_000
	t, reqs := &Transport{}, make([]*http.Request, hosts)
	for i := range reqs {
		reqs[i] = benchRequest(b, fmt.Sprintf("http://10.0.%d.%d/", i>>8, i&255))
		learnRoutes(b, t, reqs[i], nil)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		lookUp(b, t, reqs[i], nil)
		if i++; i == hosts {
			i = 0
		}
	}
}

// BenchmarkIdentityLookUpParallel finds the same identity from all sides.
func BenchmarkIdentityLookUpParallel(b *testing.B) {
	t, req := &Transport{}, benchRequest(b, "http://192.0.2.1/")
	learnRoutes(b, t, req, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			to, err := t.destination(req, nil)
			if err != nil || t.core.routes.get(&to.key) == nil {
				b.Error("the route is not known")
				return
			}
		}
	})
}

// BenchmarkIdentityFirst makes the identity of a host that has just been forgotten.
func BenchmarkIdentityFirst(b *testing.B) {
	for _, url := range []string{"http://192.0.2.1/", "https://192.0.2.1/"} {
		b.Run(url[:len(url)-len("://192.0.2.1/")], func(b *testing.B) {
			t, req := &Transport{}, benchRequest(b, url)
			b.ReportAllocs()
			for b.Loop() {
				t.core.routes.drop(learnRoutes(b, t, req, nil))
			}
		})
	}
}

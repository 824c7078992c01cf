package httptestutil_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The proxy opens a tunnel for CONNECT, and records the request. Origin.Dial
// leads every name to the origin.
func ExampleNewHTTPProxy() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Dial: origin.Dial})
		transport := &http.Transport{Proxy: http.ProxyURL(proxy.URL()), TLSClientConfig: origin.ClientTLS()}
		defer transport.CloseIdleConnections()
		fmt.Println(outcome(&http.Client{Transport: transport}, "https://example.test/"))
		for _, asked := range proxy.Asked() {
			fmt.Println(asked.Method, asked.Target, "by name:", asked.ByName)
		}
	})
	// Output:
	// answered
	// CONNECT example.test:443 by name: true
}

// A SOCKS5 proxy records the user name of each request.
func ExampleNewSOCKS5Proxy() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
		proxy := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{
			Username: "tenant-a", Password: "secret", Dial: origin.Dial,
		})
		transport := &http.Transport{Proxy: http.ProxyURL(proxy.URL())}
		defer transport.CloseIdleConnections()
		fmt.Println(outcome(&http.Client{Transport: transport}, "http://example.test/"))
		for _, asked := range proxy.Asked() {
			fmt.Println(asked.Username, "asked for", asked.Target)
		}
	})
	// Output:
	// answered
	// tenant-a asked for example.test:80
}

// The client sends wrong credentials.
func ExampleProxy_URLAs() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{Username: "tenant-a", Password: "secret"})
		transport := &http.Transport{Proxy: http.ProxyURL(proxy.URLAs("tenant-a", "guess"))}
		fmt.Println(fetch(&http.Client{Transport: transport}, origin.URL()))
		fmt.Println("granted:", proxy.Granted())
	})
	// Output:
	// no answer: Proxy Authentication Required
	// granted: 0
}

// The proxy refuses to open a tunnel.
func ExampleFaultRefuse() {
	runExample(func(t testing.TB) {
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		proxy.SetFault(httptestutil.FaultRefuse(http.StatusForbidden))
		transport := &http.Transport{Proxy: http.ProxyURL(proxy.URL())}
		fmt.Println(fetch(&http.Client{Transport: transport}, "https://example.test/"))
	})
	// Output: no answer: Forbidden
}

// The proxy answers with reply code 5, which means "connection refused" (RFC
// 1928).
func ExampleFaultRefuseSOCKS() {
	runExample(func(t testing.TB) {
		proxy := httptestutil.NewSOCKS5Proxy(t, httptestutil.ProxyOptions{})
		proxy.SetFault(httptestutil.FaultRefuseSOCKS(5))
		transport := &http.Transport{Proxy: http.ProxyURL(proxy.URL())}
		fmt.Println(outcome(&http.Client{Transport: transport}, "http://example.test/"))
		fmt.Println("asked", len(proxy.Asked()), "granted", proxy.Granted())
	})
	// Output:
	// failed
	// asked 1 granted 0
}

// The proxy answers in no known protocol.
func ExampleFaultGarbage() {
	runExample(func(t testing.TB) {
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		proxy.SetFault(httptestutil.FaultGarbage())
		transport := &http.Transport{Proxy: http.ProxyURL(proxy.URL())}
		fmt.Println(outcome(&http.Client{Transport: transport}, "https://example.test/"))
		proxy.WaitOpenConns(0)
	})
	// Output: failed
}

// The proxy never answers.
func ExampleFaultStall() {
	runExample(func(t testing.TB) {
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		proxy.SetFault(httptestutil.FaultStall())
		transport := &http.Transport{
			Proxy:                 http.ProxyURL(proxy.URL()),
			ResponseHeaderTimeout: time.Millisecond,
		}
		fmt.Println(fetch(&http.Client{Transport: transport}, "http://example.test/"))
	})
	// Output: no answer: net/http: timeout awaiting response headers
}

// The proxy sends bytes right behind its answer to CONNECT. A TLS server sends
// nothing at this point.
func ExampleFaultExtra() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		proxy.SetFault(httptestutil.FaultExtra("not TLS"))
		transport := &peerpool.Transport{Proxy: http.ProxyURL(proxy.URL()), TLSClientConfig: origin.ClientTLS()}
		defer transport.CloseIdleConnections()
		fmt.Println(outcome(&http.Client{Transport: transport}, origin.URL()))
		fmt.Println("requests at the origin:", origin.Requests())
	})
	// Output:
	// failed
	// requests at the origin: 0
}

// The proxy closes its connections, and with them the tunnels.
func ExampleProxy_CloseConns() {
	runExample(func(t testing.TB) {
		origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
		proxy := httptestutil.NewHTTPProxy(t, httptestutil.ProxyOptions{})
		transport := &peerpool.Transport{Proxy: http.ProxyURL(proxy.URL()), TLSClientConfig: origin.ClientTLS()}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		fmt.Println(outcome(client, origin.URL()))
		proxy.CloseConns()
		origin.WaitOpenConns(0)
		fmt.Println(outcome(client, origin.URL()))
		fmt.Println("tunnels:", proxy.Granted())
	})
	// Output:
	// answered
	// answered
	// tunnels: 2
}

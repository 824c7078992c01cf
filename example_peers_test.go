package peerpool_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
)

type tenantKey struct{}

// One Transport serves all tenants. PeerFor chooses the Peer of each request, and no connection serves two tenants.
func ExampleTransport_perTenant() {
	server := hello()
	defer server.Close()

	peers := make(map[string]*peerpool.Peer) // made once: a Peer is immutable, and meant to be kept
	for _, tenant := range []string{"acme", "globex"} {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{Group: tenant, MaxConns: 10})
		if err != nil {
			fmt.Println(err)
			return
		}
		peers[tenant] = peer
	}
	transport := &peerpool.Transport{
		PeerFor: func(req *http.Request) (*peerpool.Peer, error) {
			tenant, _ := req.Context().Value(tenantKey{}).(string)
			if peer := peers[tenant]; peer != nil {
				return peer, nil
			}
			return nil, errors.New("no such tenant")
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	for _, tenant := range []string{"acme", "globex", "acme", "initech"} {
		ctx := context.WithValue(context.Background(), tenantKey{}, tenant)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(tenant+":", errors.Unwrap(err))
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s: %s\n", tenant, body)
	}
	fmt.Println("connections:", transport.Stats().Opened)
	// Output:
	// acme: hello
	// globex: hello
	// acme: hello
	// initech: no such tenant
	// connections: 2
}

// One client uses two client certificates. The server sees the right certificate for each request.
func ExamplePeerOptions_mutualTLS() {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello, "+r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()

	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := &peerpool.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	for _, name := range []string{"alice", "bob", "alice"} {
		certificate := clientCertificate(name)
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{ClientCertificate: &certificate})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(getAs(client, peer, server.URL))
	}
	fmt.Println("connections:", transport.Stats().Opened)
	// Output:
	// hello, alice
	// hello, bob
	// hello, alice
	// connections: 2
}

// A request that verifies less than others gets connections of its own. No other request uses them.
func ExamplePeerOptions_verification() {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
	}))
	server.Config.ErrorLog = testkit.Quiet // of the handshake that is meant to fail
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate()) // its certificate is for example.com

	transport := &peerpool.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	for _, options := range []peerpool.PeerOptions{
		{ServerName: "internal.test"},
		{ServerName: "internal.test", AlternativeName: "example.com"},
		{ServerName: "internal.test", SkipHostnameVerify: true},
		{ServerName: "internal.test", SkipVerify: true},
	} {
		peer, err := peerpool.NewPeer(options)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(getAs(client, peer, server.URL))
	}
	fmt.Println("connections:", transport.Stats().Opened)
	// Output:
	// x509: certificate is valid for example.com, *.example.com, not internal.test
	// hello
	// hello
	// hello
	// connections: 3
}

// The URL names the service, and the Peer says where it is. Here the address is fixed.
func ExamplePeerOptions_addr() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello from "+r.Host)
	}))
	defer server.Close()

	peer, err := peerpool.NewPeer(peerpool.PeerOptions{
		Addr:      server.Listener.Addr().String(), // or "unix:/run/api.sock"
		LocalAddr: netip.MustParseAddr("127.0.0.1"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	transport := &peerpool.Transport{}
	defer transport.CloseIdleConnections()
	fmt.Println(getAs(&http.Client{Transport: transport}, peer, "http://api.example.com/"))
	// Output: hello from api.example.com
}

// The credentials for a proxy are part of the identity. Nothing prints them.
func ExamplePeerOptions_proxy() {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		user, _, _ := request.BasicAuth()
		fmt.Fprintf(w, "%s asks for %s", user, r.URL)
	}))
	defer proxy.Close()
	address := proxy.Listener.Addr().String()

	transport := &peerpool.Transport{Proxy: http.ProxyFromEnvironment} // what requests without a peer use
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, user := range []string{"alice", "bob"} {
		peer, err := peerpool.NewPeer(peerpool.PeerOptions{
			Proxy: &url.URL{Scheme: "http", Host: address, User: url.UserPassword(user, "secret")},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(getAs(client, peer, "http://origin.example/"))
	}
	fmt.Println("connections:", transport.Stats().Opened)
	// Output:
	// alice asks for http://origin.example/
	// bob asks for http://origin.example/
	// connections: 2
}

package errors_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// oddError is a time-out only by its methods.
type oddError struct{ temporary bool }

func (oddError) Error() string     { return "odd" }
func (oddError) Timeout() bool     { return true }
func (e oddError) Temporary() bool { return e.temporary }

// listError cannot be compared.
type listError []string

func (listError) Error() string { return "a list" }

// given are errors that functions of the caller's may return.
var given = map[string]error{
	"the end":               io.EOF,
	"a deadline":            context.DeadlineExceeded,
	"a cancellation":        context.Canceled,
	"a time-out":            oddError{},
	"a temporary time-out":  oddError{temporary: true},
	"no comparable one":     listError{"a"},
	"several":               errors.Join(io.EOF, os.ErrNotExist),
	"one of the system":     syscall.EPIPE,
	"a closed connection":   net.ErrClosed,
	"one of reading":        &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET},
	"a dial that timed out": &net.OpError{Op: "dial", Net: "tcp", Err: oddError{}},
	"a name":                &net.DNSError{Err: "no", Name: "example.test", IsTimeout: true},
	"a URL":                 &url.Error{Op: "Get", URL: "http://example.test", Err: io.EOF},
}

func TestWhatTheCallersFunctionsReturnIsReturnedAsWithNetHTTP(t *testing.T) {
	table := failures{}
	for name, err := range given {
		dial := func(context.Context, string, string) (net.Conn, error) { return nil, err }
		table[name] = func(p *performance) {
			proxy, parseErr := url.Parse(httptestutil.NewWire(p, func(c *httptestutil.WireConn) {
				c.ReadRequest()
				c.Write("HTTP/1.1 200 OK\r\n\r\n")
				c.WaitClosed()
			}).URL())
			if parseErr != nil {
				p.Fatal(parseErr)
			}
			const target = "https://127.0.0.1:1"
			p.get(p.use(&http.Transport{DialContext: dial}), "http://127.0.0.1:1")
			p.get(p.use(&http.Transport{DialTLSContext: dial}), target)
			p.get(p.use(&http.Transport{DialContext: dial, Proxy: http.ProxyURL(proxy)}), target)
			p.get(p.use(&http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, err }}), target)
			p.get(p.use(&http.Transport{
				Proxy:                 http.ProxyURL(proxy),
				GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) { return nil, err },
			}), target)
			p.get(p.use(&http.Transport{
				Proxy:                  http.ProxyURL(proxy),
				OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error { return err },
			}), target)
		}
	}
	compare(t, table)
}

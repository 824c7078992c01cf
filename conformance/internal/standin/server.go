package standin

//lint:file-ignore SA1019 net/http's tests set Dial, deprecated or not

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"

	"github.com/peerpool/peerpool"
)

// serving guards the clients of test servers while one gets its Transport.
var serving sync.Mutex

// ServerClient stands in for the method value ts.Client: it returns a function that returns ts.Client(), whose
// Transport it replaces the first time by one with the same settings. Both are safe for concurrent use.
func ServerClient(ts *httptest.Server) func() *http.Client {
	return func() *http.Client {
		serving.Lock()
		defer serving.Unlock()
		c := ts.Client()
		if std, ok := c.Transport.(*http.Transport); ok {
			c.Transport = watched(adopt(std))
		}
		return c
	}
}

// adopt returns a Transport with the settings of std, which nobody has used yet: unlike FromHTTP it takes them as
// they are, and leaves std without the preparations for HTTP/2 that cloning makes.
func adopt(std *http.Transport) *Transport {
	t := new(Transport)
	from, to := reflect.ValueOf(std).Elem(), reflect.ValueOf(t).Elem()
	for i := range from.NumField() {
		field := from.Type().Field(i)
		if target := to.FieldByName(field.Name); field.IsExported() && target.IsValid() {
			target.Set(from.Field(i))
		}
	}
	return t
}

// watched has t call the hooks, and remember the connections that it dials.
func watched(t *Transport) *Transport {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		// Tests set Dial on a client that is there already, and httptest's own dialer heeds it.
		if t.Dial != nil {
			return t.Dial(network, addr)
		}
		before, after := hooks.beforeDial.load(), hooks.afterDial.load()
		if before != nil {
			before()
		}
		if after != nil {
			defer after()
		}
		c, err := dial(ctx, network, addr)
		if err == nil {
			remember(t, c)
		}
		return c, err
	}
	t.Observer = &peerpool.Observer{
		RequestRetry: func(context.Context, peerpool.RequestRetry) {
			if retried := hooks.retried.load(); retried != nil {
				retried()
			}
		},
		AttemptDone: func(context.Context, peerpool.AttemptDone) {
			if read := hooks.read.load(); read != nil {
				go read() // it waits for the goroutine that is here
			}
		},
	}
	return t
}

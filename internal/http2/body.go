package http2

import (
	"io"
	"net/http"
	"reflect"

	"github.com/peerpool/peerpool/internal/exchange"
)

// respond gives the response a body that ends the exchange.
func (x *Exchange) respond(resp *http.Response) {
	if !bodiless(resp.Body) {
		x.body = body{ReadCloser: resp.Body, x: x}
		resp.Body = &x.body
	}
}

// bodiless says that nothing more will come on the stream: x/net's bodies of such responses are empty structs.
func bodiless(body io.ReadCloser) bool { return body == nil || reflect.TypeOf(body).Size() == 0 }

// body is the body of a response.
type body struct {
	io.ReadCloser
	x *Exchange
}

// Read reads the next bytes of the body. Its end, proper or not, is the end of the exchange.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		if exchange.IsDiscard(p) {
			b.x.discarded.Store(true)
		}
		return 0, nil
	}
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.end(exchange.Reusable)
	default:
		err = b.failed(err)
	}
	return n, err
}

// failed ends the exchange, and returns what to tell the reader.
func (b *body) failed(err error) error {
	if cause := b.x.canceledBy(); b.x.endedBy(cause, err) {
		b.end(exchange.GivenUp(b.x.ctx.Context))
		exchange.AwaitClient(b.x.req, cause)
		return cause
	}
	b.end(exchange.EndError)
	return b.x.c.lossOf(err)
}

// Close ends the exchange. The server is told to send no more; the connection goes on.
func (b *body) Close() error {
	over := b.x.ended.Load()
	err := b.ReadCloser.Close()
	b.end(exchange.Reusable)
	if over {
		return nil // what ended the exchange has been told
	}
	return err
}

func (b *body) end(how exchange.End) {
	if b.x.discarded.Load() {
		how = exchange.EndDiscarded
	}
	b.x.end(how)
}

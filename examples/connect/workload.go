package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/peerpool/peerpool/examples/internal/report"
)

// client calls the service.
type client struct {
	upper, split, join, echo *connect.Client[text, text]
}

// newClient returns a client. connect-go accepts any http.Client, so nothing else is needed.
func newClient(h *http.Client, url string, options ...connect.ClientOption) *client {
	procedure := func(path string) *connect.Client[text, text] {
		return connect.NewClient[text, text](h, url+path, options...)
	}
	return &client{
		upper: procedure(upperProcedure), split: procedure(splitProcedure),
		join: procedure(joinProcedure), echo: procedure(echoProcedure),
	}
}

// workload says how many calls to make. One of ten calls is a stream of each kind.
type workload struct {
	calls    int // unary
	messages int // of each stream
	workers  int // calls at a time
}

func (l workload) run(ctx context.Context, c *client, bidi bool) error {
	return report.Each(ctx, l.workers, l.calls, func(ctx context.Context, i int) error {
		if err := c.checkUpper(ctx, i); err != nil {
			return fmt.Errorf("unary call %d: %w", i, err)
		}
		if i%10 != 0 {
			return nil
		}
		words := l.words(i)
		if err := c.checkSplit(ctx, words); err != nil {
			return fmt.Errorf("stream of responses %d: %w", i, err)
		}
		if err := c.checkJoin(ctx, words); err != nil {
			return fmt.Errorf("stream of requests %d: %w", i, err)
		}
		if !bidi {
			return nil
		}
		if err := c.checkEcho(ctx, words); err != nil {
			return fmt.Errorf("stream in both directions %d: %w", i, err)
		}
		return nil
	})
}

func (l workload) words(i int) []string {
	words := make([]string, l.messages)
	for n := range words {
		words[n] = fmt.Sprintf("word-%d-%d", i, n)
	}
	return words
}

// expect returns an error if got is not want.
func expect(got, want string) error {
	if got != want {
		return fmt.Errorf("the service answered %.80q, not %.80q", got, want)
	}
	return nil
}

func (c *client) checkUpper(ctx context.Context, i int) error {
	resp, err := c.upper.CallUnary(ctx, connect.NewRequest(wrapperspb.String(fmt.Sprintf("call %d", i))))
	if err != nil {
		return err
	}
	return expect(resp.Msg.Value, fmt.Sprintf("CALL %d", i))
}

func (c *client) checkSplit(ctx context.Context, words []string) error {
	stream, err := c.split.CallServerStream(ctx, connect.NewRequest(wrapperspb.String(strings.Join(words, " "))))
	if err != nil {
		return err
	}
	var got []string
	for stream.Receive() {
		got = append(got, stream.Msg().Value)
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		return err
	}
	return expect(strings.Join(got, " "), strings.Join(words, " "))
}

func (c *client) checkJoin(ctx context.Context, words []string) error {
	stream := c.join.CallClientStream(ctx)
	for _, word := range words {
		if err := stream.Send(wrapperspb.String(word)); err != nil {
			return err
		}
	}
	resp, err := stream.CloseAndReceive()
	if err != nil {
		return err
	}
	return expect(resp.Msg.Value, strings.Join(words, " "))
}

// checkEcho sends each word when the previous one has come back.
func (c *client) checkEcho(ctx context.Context, words []string) error {
	stream := c.echo.CallBidiStream(ctx)
	for _, word := range words {
		if err := stream.Send(wrapperspb.String(word)); err != nil {
			return err
		}
		msg, err := stream.Receive()
		if err != nil {
			return err
		}
		if err := expect(msg.Value, word); err != nil {
			return err
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last word came %v, not the end", err)
	}
	return stream.CloseResponse()
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/peerpool/peerpool/examples/internal/certs"
)

// text is the message of all procedures. A real service has its own messages, and generated code instead of the code below.
// For the Transport, that makes no difference.
type text = wrapperspb.StringValue

// The procedures. There is one of each kind.
const (
	upperProcedure = "/peerpool.example.v1.Words/Upper" // unary
	splitProcedure = "/peerpool.example.v1.Words/Split" // a stream of responses
	joinProcedure  = "/peerpool.example.v1.Words/Join"  // a stream of requests
	echoProcedure  = "/peerpool.example.v1.Words/Echo"  // both at the same time
)

// serve runs the service on a free port of loopback. stop ends it.
func (way way) serve(ca *certs.CA) (url string, stop func(), err error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	cert, err := ca.Server()
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	srv := &http.Server{
		Handler:           service(),
		Protocols:         new(http.Protocols),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}},
		ReadHeaderTimeout: time.Minute,
	}
	way.protocols(srv.Protocols)
	scheme, run := "http", func() error { return srv.Serve(ln) }
	if way.tls {
		scheme, run = "https", func() error { return srv.ServeTLS(ln, "", "") }
	}
	go func() { // ends with stop
		if err := run(); !errors.Is(err, http.ErrServerClosed) {
			log.Print(err)
		}
	}()
	return scheme + "://" + ln.Addr().String(), func() { _ = srv.Close() }, nil
}

func service() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(upperProcedure, connect.NewUnaryHandler(upperProcedure, upper))
	mux.Handle(splitProcedure, connect.NewServerStreamHandler(splitProcedure, split))
	mux.Handle(joinProcedure, connect.NewClientStreamHandler(joinProcedure, join))
	mux.Handle(echoProcedure, connect.NewBidiStreamHandler(echoProcedure, echo))
	return mux
}

func upper(_ context.Context, req *connect.Request[text]) (*connect.Response[text], error) {
	return connect.NewResponse(wrapperspb.String(strings.ToUpper(req.Msg.Value))), nil
}

func split(_ context.Context, req *connect.Request[text], out *connect.ServerStream[text]) error {
	for word := range strings.FieldsSeq(req.Msg.Value) {
		if err := out.Send(wrapperspb.String(word)); err != nil {
			return err
		}
	}
	return nil
}

func join(_ context.Context, in *connect.ClientStream[text]) (*connect.Response[text], error) {
	var words []string
	for in.Receive() {
		words = append(words, in.Msg().Value)
	}
	return connect.NewResponse(wrapperspb.String(strings.Join(words, " "))), in.Err()
}

func echo(_ context.Context, stream *connect.BidiStream[text, text]) error {
	for {
		msg, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = stream.Send(msg)
		}
		if err != nil {
			return err
		}
	}
}

// Package grpc_test calls a grpc-go server through peerpool, as gRPC: connect-go's client frames the messages, and peerpool is
// its http.Client's Transport. It needs nothing installed.
package grpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/peerpool/peerpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// service is the test service of gRPC's own interoperability tests.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func payload(n int) *testgrpc.Payload { return &testgrpc.Payload{Body: make([]byte, n)} }

// UnaryCall answers with as many bytes as are asked for, or with the status.
func (service) UnaryCall(ctx context.Context, req *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if s := req.GetResponseStatus(); s.GetCode() != 0 {
		return nil, status.Error(codes.Code(s.Code), s.Message)
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs("x-trailing", "yes")); err != nil {
		return nil, err
	}
	return &testgrpc.SimpleResponse{Payload: payload(int(req.ResponseSize))}, nil
}

// StreamingOutputCall answers with a message for each size that is asked for.
func (service) StreamingOutputCall(req *testgrpc.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	for _, p := range req.ResponseParameters {
		time.Sleep(time.Duration(p.IntervalUs) * time.Microsecond)
		if err := s.Send(&testgrpc.StreamingOutputCallResponse{Payload: payload(int(p.Size))}); err != nil {
			return err
		}
	}
	return nil
}

// StreamingInputCall counts the bytes that come.
func (service) StreamingInputCall(s grpc.ClientStreamingServer[testgrpc.StreamingInputCallRequest, testgrpc.StreamingInputCallResponse]) error {
	sum := 0
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return s.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(req.Payload.GetBody())
	}
}

// FullDuplexCall answers each message at once.
func (service) FullDuplexCall(s grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, p := range req.ResponseParameters {
			if err := s.Send(&testgrpc.StreamingOutputCallResponse{Payload: payload(int(p.Size))}); err != nil {
				return err
			}
		}
	}
}

// target is a grpc-go server that is being called through a Transport.
type target struct {
	*peerpool.Transport
	client *http.Client
}

// serve starts a grpc-go server on ln and returns a client of it, whose Transport dials with dial if that is set.
func serve(t *testing.T, ln net.Listener, dial func(context.Context, string, string) (net.Conn, error), opts ...grpc.ServerOption) *target {
	t.Helper()
	s := grpc.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(s, service{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	tr := &peerpool.Transport{Protocols: &h2c, DialContext: dial}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &target{tr, &http.Client{Transport: tr}}
}

const base = "http://grpc.test/grpc.testing.TestService/"

// method returns a client of one of the methods.
func method[Req, Res any](s *target, name string) *connect.Client[Req, Res] {
	return connect.NewClient[Req, Res](s.client, base+name, connect.WithGRPC())
}

func sizes(n ...int) (all []*testgrpc.ResponseParameters) {
	for _, size := range n {
		all = append(all, &testgrpc.ResponseParameters{Size: int32(size)})
	}
	return all
}

// intact checks that no request had to be sent again, and that one connection was enough.
func (s *target) intact(t *testing.T) {
	t.Helper()
	if st := s.Stats(); st.Opened != 1 || st.Retries.Failed != 0 {
		t.Errorf("%+v", st)
	}
}

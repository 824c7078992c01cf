package grpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
)

// onSocket serves on a socket.
func onSocket(t *testing.T, opts ...grpc.ServerOption) *target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, ln.Addr().String())
	}
	return serve(t, ln, dial, opts...)
}

func TestCallsOfEverySizeGetTheirAnswer(t *testing.T) {
	s := onSocket(t)
	call := method[testgrpc.SimpleRequest, testgrpc.SimpleResponse](s, "UnaryCall")
	for _, size := range []int{0, 1, 1000, 70_000, 3 << 20} {
		res, err := call.CallUnary(t.Context(), connect.NewRequest(&testgrpc.SimpleRequest{
			ResponseSize: int32(size), Payload: payload(size),
		}))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if n := len(res.Msg.Payload.GetBody()); n != size || res.Trailer().Get("X-Trailing") != "yes" {
			t.Errorf("%d bytes, want %d; trailer %v", n, size, res.Trailer())
		}
	}
	s.intact(t)
}

func TestAStatusIsReadFromTheTrailer(t *testing.T) {
	s := onSocket(t)
	call := method[testgrpc.SimpleRequest, testgrpc.SimpleResponse](s, "UnaryCall")
	_, err := call.CallUnary(t.Context(), connect.NewRequest(&testgrpc.SimpleRequest{
		ResponseStatus: &testgrpc.EchoStatus{Code: int32(codes.FailedPrecondition), Message: "not today"},
	}))
	var failed *connect.Error
	if !errors.As(err, &failed) || failed.Code() != connect.CodeFailedPrecondition || failed.Message() != "not today" {
		t.Errorf("%v", err)
	}
	unknown := method[testgrpc.SimpleRequest, testgrpc.SimpleResponse](s, "NoSuchMethod")
	_, err = unknown.CallUnary(t.Context(), connect.NewRequest(&testgrpc.SimpleRequest{}))
	if connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("%v", err)
	}
	s.intact(t)
}

func TestAStreamFromTheServerIsReadToItsEnd(t *testing.T) {
	s := onSocket(t)
	call := method[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse](s, "StreamingOutputCall")
	want := []int{1, 100_000, 0, 1 << 20, 7}
	stream, err := call.CallServerStream(t.Context(), connect.NewRequest(&testgrpc.StreamingOutputCallRequest{ResponseParameters: sizes(want...)}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, size := range want {
		if !stream.Receive() || len(stream.Msg().Payload.GetBody()) != size {
			t.Fatalf("no message of %d bytes: %v", size, stream.Err())
		}
	}
	if stream.Receive() || stream.Err() != nil {
		t.Errorf("a message too many, or %v", stream.Err())
	}
	s.intact(t)
}

func TestAStreamToTheServerIsReadToItsEnd(t *testing.T) {
	s := onSocket(t)
	call := method[testgrpc.StreamingInputCallRequest, testgrpc.StreamingInputCallResponse](s, "StreamingInputCall")
	stream := call.CallClientStream(t.Context())
	sum := 0
	for _, size := range []int{1, 100_000, 0, 1 << 20, 7} {
		if err := stream.Send(&testgrpc.StreamingInputCallRequest{Payload: payload(size)}); err != nil {
			t.Fatal(err)
		}
		sum += size
	}
	res, err := stream.CloseAndReceive()
	if err != nil || int(res.Msg.AggregatedPayloadSize) != sum {
		t.Errorf("%v, %v, want %d", res, err, sum)
	}
	s.intact(t)
}

func TestStreamsInBothDirectionsShareAConnection(t *testing.T) {
	s := onSocket(t)
	call := method[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse](s, "FullDuplexCall")
	warm := call.CallBidiStream(t.Context())
	exchange(t, warm, 10)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			stream := call.CallBidiStream(t.Context())
			for i := range 50 {
				if !exchange(t, stream, i*100) {
					return
				}
			}
			finish(t, stream)
		})
	}
	wg.Wait()
	finish(t, warm)
	s.intact(t)
}

type duplex = connect.BidiStreamForClient[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]

// exchange sends a message and waits for the answer.
func exchange(t *testing.T, stream *duplex, size int) bool {
	t.Helper()
	if err := stream.Send(&testgrpc.StreamingOutputCallRequest{ResponseParameters: sizes(size), Payload: payload(size)}); err != nil {
		t.Error(err)
		return false
	}
	res, err := stream.Receive()
	if err != nil || len(res.Payload.GetBody()) != size {
		t.Errorf("%v, %v", res, err)
		return false
	}
	return true
}

// finish ends a stream in order.
func finish(t *testing.T, stream *duplex) {
	t.Helper()
	if err := stream.CloseRequest(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if err := stream.CloseResponse(); err != nil {
		t.Error(err)
	}
}

func TestAStreamThatIsGivenUpSparesTheOthers(t *testing.T) {
	s := onSocket(t)
	call := method[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse](s, "FullDuplexCall")
	kept := call.CallBidiStream(t.Context())
	exchange(t, kept, 1)
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		stream := call.CallBidiStream(ctx)
		exchange(t, stream, 1000)
		cancel()
		if _, err := stream.Receive(); connect.CodeOf(err) != connect.CodeCanceled {
			t.Errorf("%v", err)
		}
	}
	exchange(t, kept, 1)
	finish(t, kept)
	s.intact(t)
}

// grpc-go ends a connection with too_many_pings that is pinged more often than its policy allows, by default every five
// minutes. A stream on which nothing happens is watched nevertheless, without its doing so.
func TestQuietStreamsOutliveThePolicyOnPings(t *testing.T) {
	for name, policy := range map[string]keepalive.EnforcementPolicy{
		"the default":     {},
		"a strict policy": {MinTime: time.Hour},
		"a lenient one":   {MinTime: time.Second, PermitWithoutStream: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := httptestutil.NewListener(0)
				s := serve(t, ln, ln.Dial, grpc.KeepaliveEnforcementPolicy(policy))
				call := method[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse](s, "FullDuplexCall")
				stream := call.CallBidiStream(t.Context())
				for range 10 {
					if !exchange(t, stream, 100) {
						break
					}
					time.Sleep(2 * time.Minute)
				}
				exchange(t, stream, 100)
				finish(t, stream)
				// Nor is the connection lost while it idles, or after it has.
				time.Sleep(50 * time.Second)
				unary := method[testgrpc.SimpleRequest, testgrpc.SimpleResponse](s, "UnaryCall")
				if _, err := unary.CallUnary(t.Context(), connect.NewRequest(&testgrpc.SimpleRequest{ResponseSize: 1})); err != nil {
					t.Error(err)
				}
				s.intact(t)
			})
		})
	}
}

// A server that ends its connections after a while, as those behind load balancers are told to, loses no call.
func TestCallsOutliveTheConnectionsThatTheServerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := httptestutil.NewListener(0)
		s := serve(t, ln, ln.Dial, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: time.Minute, MaxConnectionAgeGrace: time.Minute,
		}))
		unary := method[testgrpc.SimpleRequest, testgrpc.SimpleResponse](s, "UnaryCall")
		call := method[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse](s, "FullDuplexCall")
		for range 20 {
			stream := call.CallBidiStream(t.Context())
			for range 5 {
				exchange(t, stream, 1000)
				if _, err := unary.CallUnary(t.Context(), connect.NewRequest(&testgrpc.SimpleRequest{ResponseSize: 1})); err != nil {
					t.Error(err)
				}
				time.Sleep(7 * time.Second)
			}
			finish(t, stream)
		}
		if st := s.Stats(); st.Opened < 5 {
			t.Errorf("%+v", st)
		}
	})
}

// The deadline of a call is the server's business too, and ends it there.
func TestADeadlineReachesTheServer(t *testing.T) {
	s := onSocket(t)
	call := method[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse](s, "StreamingOutputCall")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	stream, err := call.CallServerStream(ctx, connect.NewRequest(&testgrpc.StreamingOutputCallRequest{
		ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}, {Size: 1, IntervalUs: 10_000_000}},
	}))
	if err == nil {
		for stream.Receive() {
		}
		err = stream.Err()
		stream.Close()
	}
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		t.Errorf("%v", err)
	}
}

package peerpool

import (
	"net"
	"net/http/httptrace"
	"syscall"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestADialersKeepAliveConfigIsThatOfItsSockets(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	for _, c := range []struct {
		dialer            *net.Dialer
		idle, every, most int
	}{
		{nil, 30, 15, 9},
		{&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 71 * time.Second, Interval: 13 * time.Second, Count: 4}}, 71, 13, 4},
	} {
		tr := peerTransport(t, &Transport{Dialer: c.dialer})
		raw, err := connOf(t, tr, o.URL()).(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for option, want := range map[int]int{
			syscall.TCP_KEEPIDLE: c.idle, syscall.TCP_KEEPINTVL: c.every, syscall.TCP_KEEPCNT: c.most,
		} {
			var got int
			var failed error
			err := raw.Control(func(fd uintptr) {
				got, failed = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, option)
			})
			if err != nil || failed != nil || got != want {
				t.Errorf("option %d is %d (%v, %v), want %d", option, got, err, failed, want)
			}
		}
	}
}

// connOf returns the connection that a request to target gets.
func connOf(t *testing.T, tr *Transport, target string) net.Conn {
	t.Helper()
	var conn net.Conn
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conn = i.Conn }}
	req := peerRequest(t, target, nil)
	peerSend(t, tr, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	return conn
}

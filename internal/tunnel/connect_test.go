package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestConnectAsksInAuthorityForm(t *testing.T) {
	for _, c := range []struct {
		target, asked string
		header        http.Header
		fields        string
	}{
		{"origin.test:443", "origin.test:443", nil, "User-Agent: Go-http-client/1.1\r\n"},
		{"192.0.2.1:8443", "192.0.2.1:8443", http.Header{"User-Agent": {""}}, ""},
		{"[2001:db8::1]:443", "[2001:db8::1]:443", http.Header{"User-Agent": {"mine"}}, "User-Agent: mine\r\n"},
		{"[fe80::1%eth0]:443", "[fe80::1]:443",
			http.Header{"User-Agent": {""}, "Proxy-Authorization": {"Basic eA=="}, "X-Two": {"a", "b"}, "Host": {"other"}},
			"Proxy-Authorization: Basic eA==\r\nX-Two: a\r\nX-Two: b\r\n"},
	} {
		asked := make(chan string, 1)
		conn := dialProxy(t, func(conn *net.TCPConn) {
			r := bufio.NewReader(conn)
			var head strings.Builder
			for line := ""; line != "\r\n"; head.WriteString(line) {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					break
				}
			}
			asked <- head.String()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		})
		if err := Connect(t.Context(), conn, Request{Target: c.target, Header: c.header}); err != nil {
			t.Fatalf("%s: %v", c.target, err)
		}
		want := "CONNECT " + c.asked + " HTTP/1.1\r\nHost: " + c.asked + "\r\n" + c.fields + "\r\n"
		if got := <-asked; got != want {
			t.Errorf("the proxy was asked\n%q, want\n%q", got, want)
		}
	}
}

func TestAnyAnswerOf2xxOpensTheTunnel(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.0 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n",
		"HTTP/1.1 200\r\n\r\n",
		"HTTP/1.1 200 \r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 299 \xc3\xa9\r\n\r\n",
		"HTTP/1.1 200 OK\nVia: bare line feeds\n\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length: nonsense\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: nonsense\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInterim) + "HTTP/1.1 200 OK\r\n\r\n",
	} {
		conn := dialProxy(t, func(conn *net.TCPConn) {
			in := bufio.NewReader(conn)
			if req, err := http.ReadRequest(in); err != nil || req.Method != "CONNECT" {
				return
			}
			io.WriteString(conn, answer)
			io.CopyN(conn, in, 5)
		})
		if err := Connect(t.Context(), conn, Request{Target: target}); err != nil {
			t.Errorf("%q: %v", answer, err)
			continue
		}
		wantOpen(t, conn)
		io.WriteString(conn, "hello")
		if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
			t.Errorf("%q: %q, %v came through the tunnel", answer, got, err)
		}
	}
}

func TestAnAnswerThatArrivesByteByByteIsUnderstood(t *testing.T) {
	text := "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nVia: p\r\n\r\n"
	conn := strings.NewReader(text + "tunnel")
	resp, err := readAnswer(iotest.OneByteReader(conn), nil, 0)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Via") != "p" {
		t.Fatalf("got %v, %v", resp, err)
	}
	if rest, _ := io.ReadAll(conn); string(rest) != "tunnel" {
		t.Errorf("%q is left for the tunnel", rest)
	}
}

func TestAnyOtherStatusIsRefusedInItsOwnWords(t *testing.T) {
	for _, c := range []struct{ answer, text string }{
		{"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno", "Proxy Authentication Required"},
		{"HTTP/1.0 502 Bad Gateway\r\n\r\nno", "Bad Gateway"},
		{"HTTP/1.1 302 Found\r\nLocation: http://origin.test/\r\nContent-Length: 0\r\n\r\n", "Found"},
		{"HTTP/1.1 403 Not  allowed \r\nTransfer-Encoding: chunked\r\n\r\n", "Not  allowed "},
		{"HTTP/1.1 400\r\nContent-Length: 10\r\n\r\nAloha", "unknown status code"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 999 \r\n\r\n", ""},
	} {
		conn := dialProxy(t, answering(c.answer))
		err := Connect(t.Context(), conn, Request{Target: target})
		if err == nil || err.Error() != c.text {
			t.Errorf("%q: got %#v", c.answer, err)
		}
		wantClosedOnce(t, conn)
	}
}

func TestAMalformedAnswerOpensNothing(t *testing.T) {
	for answer, want := range map[string]string{
		"garbage":                                                               `malformed HTTP response "garbage"`,
		"\x15\x03\x01\x00\x02\x02\x46":                                          "malformed HTTP response",
		"\r\nHTTP/1.1 200 OK\r\n\r\n":                                           `malformed HTTP response ""`,
		"HTTP/2.0 200 OK\r\n\r\n":                                               "malformed status line",
		"HTTP/1.10 200 OK\r\n\r\n":                                              `malformed HTTP version "HTTP/1.10"`,
		"HTTP/1. 200 OK\r\n\r\n":                                                `malformed HTTP version "HTTP/1."`,
		"HTTP/1.1\r\n\r\n":                                                      `malformed HTTP response "HTTP/1.1"`,
		"HTTP/1.1  200 OK\r\n\r\n":                                              "malformed status line",
		"HTTP/1.1 20 OK\r\n\r\n":                                                `malformed HTTP status code "20"`,
		"HTTP/1.1 2000 OK\r\n\r\n":                                              `malformed HTTP status code "2000"`,
		"HTTP/1.1 +20 OK\r\n\r\n":                                               "malformed status line",
		"HTTP/1.1 020 OK\r\n\r\n":                                               "malformed status line",
		"HTTP/1.1 200 O\x00K\r\n\r\n":                                           "malformed status line",
		"HTTP/1.1 200 O\rK\r\n\r\n":                                             "malformed status line",
		"HTTP/1.1 200 OK\r\nVia\r\n\r\n":                                        `malformed MIME header: missing colon: "Via"`,
		"HTTP/1.1 200 OK\r\n: x\r\n\r\n":                                        `malformed MIME header line: ": x"`,
		"HTTP/1.1 200 OK\r\nVia : x\r\n\r\n":                                    "malformed header field",
		"HTTP/1.1 200 OK\r\n Via: x\r\n\r\n":                                    `malformed MIME header initial line: " Via: x"`,
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n":                                     "malformed header field",
		"HTTP/1.1 200 OK\r\nVia: \x00\r\n\r\n":                                  "malformed MIME header line",
		"HTTP/1.1 200 OK\r\nVia: \r.\r\n\r\n":                                   "malformed MIME header line",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("x", 1000) + "\r\n\r\n":          "malformed MIME header: missing colon",
		"HTTP/1.1 407 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n":     "Content-Length",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":                              "101",
		"HTTP/1.1 100 Continue\r\n\r\ngarbage":                                  `malformed HTTP response "garbage"`,
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInterim+1):           "too many 1xx",
		"HTTP/1.1 200 OK\r\n\r\n\x16":                                           "1 unexpected bytes",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":                     "5 unexpected bytes",
		"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\n": "unexpected bytes",
		"HTTP/1.1 200 " + strings.Repeat("x", 1<<20) + "\x00\r\n":               "exceeds 262144 bytes",
	} {
		conn := dialProxy(t, answering(answer))
		err := Connect(t.Context(), conn, Request{Target: target})
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 256 {
			t.Errorf("%.60q: got %v, want %q", answer, err, want)
		}
		wantClosedOnce(t, conn)
	}
}

func TestAnAnswerThatBreaksOffIsAnUnexpectedEOF(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nVia: x\r\n", "HTTP/1.1 100 Continue\r\n\r\n"} {
		conn := dialProxy(t, hangingUp(answer))
		if err := Connect(t.Context(), conn, Request{Target: target}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %v", answer, err)
		}
		wantClosedOnce(t, conn)
	}
}

func TestAnEndlessHeadIsCutOff(t *testing.T) {
	for _, endless := range []string{"x", "X: y\r\n"} {
		for limit, want := range map[int64]string{0: "exceeds 262144 bytes", 1 << 10: "exceeds 1024 bytes"} {
			conn := dialProxy(t, func(conn *net.TCPConn) {
				http.ReadRequest(bufio.NewReader(conn))
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				for err := error(nil); err == nil; {
					_, err = io.WriteString(conn, strings.Repeat(endless, 1000))
				}
			})
			err := Connect(t.Context(), conn, Request{Target: target, MaxHeadBytes: limit})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			wantClosedOnce(t, conn)
		}
	}
}

func TestConnectSendsNothingThatIsInvalid(t *testing.T) {
	const secret = "s3cret"
	for _, r := range []Request{
		{Target: target, Header: http.Header{"Proxy-Authorization": {"Basic " + secret + "\r\nX: y"}}},
		{Target: target, Header: http.Header{"Proxy-Authorization": {secret + "\x00"}}},
		{Target: target, Header: http.Header{"X\r\nY": {secret}}},
		{Target: target, Header: http.Header{"": {secret}}},
		{Target: "origin.test"},
		{Target: ":443"},
		{Target: "origin.test:"},
		{Target: "origin.test:https"},
		{Target: "origin.test:0"},
		{Target: "origin.test:65536"},
		{Target: "origin.test:-1"},
		{Target: "2001:db8::1:443"},
		{Target: "[2001:db8::g]:443"},
		{Target: "origin.test/path:443"},
		{Target: "user@origin.test:443"},
		{Target: "origin.test HTTP/1.1\r\nX: y:443"},
		{Target: "or\u00efgin.test:443"},
	} {
		sent := make(chan string, 1)
		conn := dialProxy(t, func(conn *net.TCPConn) {
			got, _ := io.ReadAll(conn)
			sent <- string(got)
		})
		err := Connect(t.Context(), conn, r)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v", r.Target, err)
		}
		wantClosedOnce(t, conn)
		if got := <-sent; got != "" {
			t.Errorf("%q: %q was sent", r.Target, got)
		}
	}
}

func TestAnEndedContextInterruptsAProxyThatStalls(t *testing.T) {
	for _, hook := range []bool{false, true} {
		t.Run(fmt.Sprint("hook=", hook), func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			closed := make(chan bool, 1)
			conn := dialProxy(t, func(conn *net.TCPConn) {
				http.ReadRequest(bufio.NewReader(conn))
				io.WriteString(conn, "HTTP/1.1 407 No\r\n")
				if hook {
					io.WriteString(conn, "Content-Length: 5\r\n\r\n")
				} else {
					cancel(errEnough)
				}
				stalling(closed)(conn)
			})
			err := Connect(ctx, conn, Request{Target: target, OnResponse: func(resp *http.Response) error {
				cancel(errEnough)
				_, err := io.ReadAll(resp.Body)
				return err
			}})
			if err != errEnough {
				t.Errorf("got %v, want the cause", err)
			}
			wantClosedOnce(t, conn)
			wantClosed(t, closed)
		})
	}
}

func TestADeadlineInterruptsAProxyThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		conn := &closeCounter{Conn: ours}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errEnough)
		defer cancel()
		start := time.Now()
		if err := Connect(ctx, conn, Request{Target: target}); err != errEnough {
			t.Errorf("got %v, want the cause", err)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v, want a second", waited)
		}
		wantClosedOnce(t, conn)
	})
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	for name, ask := range map[string]func(net.Conn) error{
		"CONNECT": func(conn net.Conn) error { return Connect(ctx, conn, Request{Target: target}) },
		"SOCKS":   func(conn net.Conn) error { return Socks(ctx, conn, target, nil) },
	} {
		sent := make(chan string, 1)
		conn := dialProxy(t, func(conn *net.TCPConn) {
			got, _ := io.ReadAll(conn)
			sent <- string(got)
		})
		if err := ask(conn); err != errEnough {
			t.Errorf("%s: got %v, want the cause", name, err)
		}
		wantClosedOnce(t, conn)
		if got := <-sent; got != "" {
			t.Errorf("%s: %q was sent", name, got)
		}
	}
}

func TestAContextThatEndsAfterwardsLeavesTheTunnelAlone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	conn := dialProxy(t, func(conn *net.TCPConn) {
		in := bufio.NewReader(conn)
		http.ReadRequest(in)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		io.CopyN(conn, in, 5)
	})
	if err := Connect(ctx, conn, Request{Target: target}); err != nil {
		t.Fatal(err)
	}
	cancel()
	io.WriteString(conn, "hello")
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v came through the tunnel", got, err)
	}
	wantOpen(t, conn)
}

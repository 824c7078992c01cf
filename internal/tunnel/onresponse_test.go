package tunnel

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestOnResponseSeesEveryAnswerBeforeItIsJudged(t *testing.T) {
	for answer, status := range map[string]int{
		"HTTP/1.1 200 OK\r\nVia: p\r\nContent-Length: 5\r\n\r\n":           200,
		"HTTP/1.1 407 No\r\nVia: p\r\nContent-Length: 5\r\n\r\nhello more": 407,
	} {
		var seen *http.Response
		var body []byte
		conn := dialProxy(t, answering(answer))
		err := Connect(t.Context(), conn, Request{Target: target, OnResponse: func(resp *http.Response) error {
			seen = resp
			var err error
			body, err = io.ReadAll(resp.Body)
			return err
		}})
		if (err == nil) != (status == 200) {
			t.Fatalf("got %v for a %d", err, status)
		}
		if seen.StatusCode != status || seen.Header.Get("Via") != "p" || seen.Request.URL.String() != target {
			t.Errorf("seen: %+v", seen)
		}
		if want := map[int]string{407: "hello"}[status]; string(body) != want {
			t.Errorf("the body of the %d is %q, want %q", status, body, want)
		}
	}
}

func TestTheBodyOfASuccessIsEmptyAndNotTheTunnel(t *testing.T) {
	conn := dialProxy(t, func(conn *net.TCPConn) {
		in := bufio.NewReader(conn)
		http.ReadRequest(in)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
		io.CopyN(conn, in, 5)
	})
	err := Connect(t.Context(), conn, Request{Target: target, OnResponse: func(resp *http.Response) error {
		io.WriteString(conn, "hello")
		body, err := io.ReadAll(resp.Body)
		if len(body) > 0 {
			t.Errorf("the body is %q", body)
		}
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v came through the tunnel", got, err)
	}
}

func TestAnErrorOfOnResponseIsThatOfConnect(t *testing.T) {
	for _, answer := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 407 No\r\n\r\n"} {
		conn := dialProxy(t, answering(answer))
		err := Connect(t.Context(), conn, Request{Target: target, OnResponse: func(*http.Response) error { return errEnough }})
		if err != errEnough {
			t.Errorf("got %v", err)
		}
		wantClosedOnce(t, conn)
	}
}

func TestAPanicOfOnResponseLeavesNoConnection(t *testing.T) {
	conn := dialProxy(t, answering("HTTP/1.1 200 OK\r\n\r\n"))
	defer func() {
		if recover() != errEnough {
			t.Error("the panic was swallowed")
		}
		wantClosedOnce(t, conn)
	}()
	Connect(t.Context(), conn, Request{Target: target, OnResponse: func(*http.Response) error { panic(errEnough) }})
}

func TestTheBodyOfARefusalIsBounded(t *testing.T) {
	conn := dialProxy(t, func(conn *net.TCPConn) {
		http.ReadRequest(bufio.NewReader(conn))
		io.WriteString(conn, "HTTP/1.1 503 No\r\n\r\n")
		for err := error(nil); err == nil; {
			_, err = io.WriteString(conn, strings.Repeat("x", 1000))
		}
	})
	var n int64
	Connect(t.Context(), conn, Request{Target: target, OnResponse: func(resp *http.Response) (err error) {
		n, err = io.Copy(io.Discard, resp.Body)
		return err
	}})
	if n != MaxRefusalBody {
		t.Errorf("read %d bytes, want %d", n, MaxRefusalBody)
	}
}

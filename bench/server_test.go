package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// talk writes bytes to answerAll and returns all that comes back.
func talk(t *testing.T, said string) string {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		answerAll(server)
	}()
	go io.WriteString(client, said)
	got, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestTheServerAnswersRequestByRequest(t *testing.T) {
	got := talk(t, "POST /4 HTTP/1.1\r\nContent-Length: 3\r\n\r\na bGET /12 HTTP/1.1\r\n\r\n"+
		"GET /large/7 HTTP/1.1\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(strings.NewReader(got))
	for _, want := range []struct{ fields, body int }{{4, 5}, {12, 5}, {4, 7}} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || len(body) != want.body {
			t.Errorf("a body of %d bytes, %v; want %d", len(body), err, want.body)
		}
		if len(resp.Header) != want.fields {
			t.Errorf("%d fields, want %d", len(resp.Header), want.fields)
		}
	}
	if r.Buffered() > 0 {
		t.Errorf("%d bytes too many", r.Buffered())
	}
}

func TestTheServerReadsNamesOfFieldsInEitherCase(t *testing.T) {
	body := strings.Repeat("b", 2*maxHead)
	got := talk(t, "POST /4 HTTP/1.1\r\ncontent-length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body+
		"GET /12 HTTP/1.1\r\nCONNECTION: close\r\n\r\n")
	if want := string(answers[fewFields]) + string(answers[manyFields]); got != want {
		t.Errorf("the server answers %q, want %q", got, want)
	}
}

func TestTheServerEndsAConnectionWithALongHead(t *testing.T) {
	if got := talk(t, "GET /4 HTTP/1.1\r\nX-Long: "+strings.Repeat("x", maxHead)); got != "" {
		t.Errorf("the server answers %q", got)
	}
}

func TestTheServerAnswersLateIfAskedTo(t *testing.T) {
	if got := talk(t, "GET /late/1 HTTP/1.1\r\nConnection: close\r\n\r\n"); got != string(answers[fewFields]) {
		t.Errorf("the server answers %q", got)
	}
}

func TestTheServerCountsTheConnectionsItAccepts(t *testing.T) {
	before := connections.Load()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go accept(ln, answerAll) // ends with the listener
	for i := range int64(3) {
		n, err := accepted(endpoint{Plain: ln.Addr().String()})
		if err != nil || n != before+i+1 {
			t.Errorf("the server says %d, %v; want %d", n, err, before+i+1)
		}
	}
}

func TestTheServerKnowsNoOtherPath(t *testing.T) {
	if got := talk(t, "GET /nonsense HTTP/1.1\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("it answers %q", got)
	}
}

// record returns the bytes that a candidate sends for its first call.
func record(t *testing.T, who candidate, spec requestSpec) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			heard <- ""
			return
		}
		defer c.Close()
		buf := make([]byte, maxHead)
		n, _ := c.Read(buf) // a request this small comes at once
		c.Write(answers[fewFields])
		heard <- string(buf[:n])
	}()
	at := endpoint{Plain: ln.Addr().String(), Root: testRoot(t)}
	c, err := newClient(who, spec, at)
	if err != nil {
		t.Fatal(err)
	}
	call, err := c.newCall()
	if err != nil {
		t.Fatal(err)
	}
	if _, sent := c.(*httpClient); !sent { // those have called once already, to see the protocol
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(<-heard, ln.Addr().String(), "host")
}

func testRoot(t *testing.T) []byte {
	t.Helper()
	root, _, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestAllCandidatesSendTheSame(t *testing.T) {
	for _, spec := range []requestSpec{
		{Method: http.MethodGet, Path: fewFields},
		{Method: http.MethodPost, Path: fewFields, Body: 64},
	} {
		want := record(t, netHTTP, spec)
		for _, who := range []candidate{ours, bare} {
			if got := record(t, who, spec); len(got) != len(want) {
				t.Errorf("%s sends\n%q, net/http\n%q", who, got, want)
			}
		}
	}
}

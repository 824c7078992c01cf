package parity_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	withLength = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	inChunks   = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// These are words of docs/differences.md.
const (
	docSpaces  = "a space in a field's name, or before its colon; in a trailer, too"
	docFolding = "obsolete line folding; in a trailer, too"
	docVersion = "an HTTP version other than 1.x in a status line"
	docCode    = "a status code that is not three digits, or below 100"
	docTrailer = "Content-Length, Transfer-Encoding, Trailer, Host and Connection in a trailer section"
)

var headCases = []wireCase{
	{name: "a space in a name", answer: withLength + "A B: 1\r\n\r\nok", differs: docSpaces},
	{name: "a space before a colon", answer: withLength + "A : 1\r\n\r\nok", differs: docSpaces},
	{name: "a folded line", answer: withLength + "X: a\r\n b\r\n\r\nok", differs: docFolding},
	{name: "HTTP/3.0", answer: strings.Replace(goodAnswer, "1.1", "3.0", 1), differs: docVersion},
	{name: "HTTP/2.0", answer: strings.Replace(goodAnswer, "1.1", "2.0", 1), differs: docVersion},
	{name: "HTTP/0.9", answer: strings.Replace(goodAnswer, "1.1", "0.9", 1), differs: docVersion},
	{name: "HTTP/1.7", answer: strings.Replace(goodAnswer, "1.1", "1.7", 1)},
	{name: "HTTP/1.0", answer: strings.Replace(goodAnswer, "1.1", "1.0", 1)},
	{name: "HTTP/1.10", answer: strings.Replace(goodAnswer, "1.1", "1.10", 1)},
	{name: "http/1.1", answer: strings.Replace(goodAnswer, "HTTP", "http", 1)},
	{name: "code 1000", answer: strings.Replace(goodAnswer, "200", "1000", 1)},
	{name: "code 099", answer: strings.Replace(goodAnswer, "200", "099", 1), differs: docCode},
	{name: "code +20", answer: strings.Replace(goodAnswer, "200", "+20", 1), differs: docCode},
	{name: "code -20", answer: strings.Replace(goodAnswer, "200", "-20", 1)},
	{name: "no code", answer: strings.Replace(goodAnswer, "200 OK", "OK", 1)},
	{name: "spaces in a status line", answer: strings.Replace(goodAnswer, " 200 ", "   200   ", 1)},
	{name: "a tab behind a code", answer: strings.Replace(goodAnswer, "200 ", "200\t", 1)},
	{name: "a long reason", answer: strings.Replace(goodAnswer, "OK", strings.Repeat("x", 5000), 1)},
	{name: "a line end before the status line", answer: "\r\n" + goodAnswer},
	{name: "NUL in a value", answer: withLength + "X: a\x00b\r\n\r\nok"},
	{name: "CR in a value", answer: withLength + "X: a\rb\r\n\r\nok"},
	{name: "an empty name", answer: withLength + ": 1\r\n\r\nok"},
	{name: "no colon", answer: withLength + "abc\r\n\r\nok"},
	{name: "a name beyond ASCII", answer: withLength + "X-\xc3\xa9: 1\r\n\r\nok"},
	{name: "a close among others", answer: withLength + "Connection: keep-alive, close\r\n\r\nok"},
	{name: "40 interim responses", answer: strings.Repeat("HTTP/1.1 103 Hi\r\nX: 1\r\n\r\n", 40) + goodAnswer,
		differs: "more than 32 interim responses"},
	{name: "an interim response with a length", answer: "HTTP/1.1 103 Hi\r\nContent-Length: 2\r\n\r\n" + goodAnswer},
	{name: "a switch of protocols that nobody asked for", answer: "HTTP/1.1 101 Switching\r\n\r\n"},
}

var framingCases = []wireCase{
	{name: "an empty length", answer: "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok"},
	{name: "a length with a sign", answer: "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"},
	{name: "a list of lengths", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"},
	{name: "a length beyond all bounds", answer: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok"},
	{name: "lengths that differ", answer: withLength + "Content-Length: 3\r\n\r\nok"},
	{name: "equal lengths", answer: withLength + "Content-Length: 2\r\n\r\nok"},
	{name: "an empty length beside another", answer: withLength + "Content-Length: \r\n\r\nok"},
	{name: "an empty coding", answer: withLength + "Transfer-Encoding: \r\n\r\nok"},
	{name: "the coding identity", answer: withLength + "Transfer-Encoding: identity\r\n\r\nok"},
	{name: "two codings", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{name: "a coding twice", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{name: "a coding in capitals", answer: strings.Replace(inChunks, "chunked", "CHUNKED", 1) + "2\r\nok\r\n0\r\n\r\n"},
	{name: "spaces around a coding", answer: strings.Replace(inChunks, "chunked", " chunked ", 1) + "2\r\nok\r\n0\r\n\r\n"},
	{name: "a coding in HTTP/1.0", answer: strings.Replace(inChunks, "1.1", "1.0", 1) + "2\r\nok\r\n0\r\n\r\n",
		differs: "Transfer-Encoding in an HTTP/1.0 response"},
	{name: "304 in chunks", answer: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{name: "204 with a length", answer: "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n"},
	{name: "204 with a malformed length", answer: "HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n"},
	{name: "205 with a body", answer: strings.Replace(goodAnswer, "200 OK", "205 Reset Content", 1)},
	{name: "gzip that is none", answer: withLength + "Content-Encoding: gzip\r\n\r\nok"},

	{name: "a chunk line of 4095 bytes", answer: inChunks + "2;" + strings.Repeat("x", 4095-4) + "\r\nok\r\n0\r\n\r\n"},
	{name: "a chunk line of 4096 bytes", answer: inChunks + "2;" + strings.Repeat("x", 4096-4) + "\r\nok\r\n0\r\n\r\n"},
	{name: "a chunk line of 4097 bytes", answer: inChunks + "2;" + strings.Repeat("x", 4097-4) + "\r\nok\r\n0\r\n\r\n"},
	{name: "a chunk line of 9000 bytes", answer: inChunks + "2;" + strings.Repeat("x", 9000) + "\r\nok\r\n0\r\n\r\n"},
	{name: "a size of 16 digits", answer: inChunks + "0000000000000002\r\nok\r\n0\r\n\r\n"},
	{name: "a size of 17 digits", answer: inChunks + "00000000000000002\r\nok\r\n0\r\n\r\n"},
	{name: "a bare LF behind a size", answer: inChunks + "2\nok\r\n0\r\n\r\n"},
	{name: "a bare LF behind a chunk", answer: inChunks + "2\r\nok\n0\r\n\r\n"},
	{name: "more than a chunk has", answer: inChunks + "2\r\nokX\r\n0\r\n\r\n"},
}

var trailerCases = []wireCase{
	{name: "a trailer", answer: inChunks + "2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: a=b\r\nAuthorization: c\r\n\r\n"},
	{name: "a trailer with a space before a colon", answer: inChunks + "2\r\nok\r\n0\r\nX-T : 1\r\n\r\n", differs: docSpaces},
	{name: "a trailer with a space in a name", answer: inChunks + "2\r\nok\r\n0\r\nX T: 1\r\n\r\n", differs: docSpaces},
	{name: "a folded trailer", answer: inChunks + "2\r\nok\r\n0\r\nX: 1\r\n 2\r\n\r\n", differs: docFolding},
	{name: "a trailer with a bare LF", answer: inChunks + "2\r\nok\r\n0\r\nX: 1\nY: 2\r\n\r\n", differs: "a bare LF in a trailer section"},
	{name: "a trailer that ends in bare LF", answer: inChunks + "2\r\nok\r\n0\r\nX: 1\n\n"},
	{name: "a length as a trailer", answer: inChunks + "2\r\nok\r\n0\r\nContent-Length: 1\r\nX: 2\r\n\r\n", differs: docTrailer},
	{name: "a coding as a trailer", answer: inChunks + "2\r\nok\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n", differs: docTrailer},
	{name: "routing as a trailer", answer: inChunks + "2\r\nok\r\n0\r\nHost: x\r\nConnection: close\r\nTrailer: a\r\n\r\n", differs: docTrailer},
	{name: "a length announced", answer: announcing("Content-Length") + "2\r\nok\r\n0\r\n\r\n"},
	{name: "a host announced", answer: announcing("Host") + "2\r\nok\r\n0\r\nHost: x\r\n\r\n", differs: docTrailer},
	{name: "a connection announced", answer: announcing("connection") + "2\r\nok\r\n0\r\n\r\n", differs: docTrailer},
	{name: "a malformed name announced", answer: announcing("a b, X") + "2\r\nok\r\n0\r\nX: x\r\n\r\n"},
	{name: "a trailer announced without chunks", answer: withLength + "Trailer: X\r\n\r\nok"},
	{name: "a trailer of 4096 bytes", answer: inChunks + "2\r\nok\r\n0\r\nX: " + strings.Repeat("x", 4096-7) + "\r\n\r\n"},
	{name: "a trailer of 4097 bytes", answer: inChunks + "2\r\nok\r\n0\r\nX: " + strings.Repeat("x", 4097-7) + "\r\n\r\n"},
	{name: "a trailer of 100000 bytes", answer: inChunks + "2\r\nok\r\n0\r\nX: " + strings.Repeat("x", 100000) + "\r\n\r\n"},
	{name: "no end behind the last chunk", answer: inChunks + "2\r\nok\r\n0\r\n"},
	{name: "no end behind a trailer", answer: inChunks + "2\r\nok\r\n0\r\nX: 1\r\n"},

	{name: "a length as a request's trailer", req: trailing("Content-Length")},
	{name: "a coding as a request's trailer", req: trailing("transfer-encoding")},
	{name: "a host as a request's trailer", req: trailing("Host"), differs: "a request whose Trailer names Host or Connection"},
	{name: "a connection as a request's trailer", req: trailing("Connection"), differs: "a request whose Trailer names Host or Connection"},
	{name: "credentials as a request's trailer", req: trailing("Authorization")},
}

func announcing(names string) string {
	return strings.Replace(inChunks, "\r\n\r\n", "\r\nTrailer: "+names+"\r\n\r\n", 1)
}

// trailing is a POST with a trailer field.
func trailing(name string) func(testing.TB) *http.Request {
	return changed(func(r *http.Request) {
		r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader("abc")), -1
		r.Trailer = http.Header{name: {"1"}}
	})
}

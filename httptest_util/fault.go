package httptestutil

import "net/http"

// An Ending says what a [Proxy] does after the wrong answer of a [Fault].
type Ending int

const (
	// EndClose closes the connection.
	EndClose Ending = iota
	// EndReset closes the connection with an RST.
	EndReset
	// EndStall leaves the connection open for at most Bound, without reading
	// from it or writing to it.
	EndStall
	// EndKeep waits for another request on the connection. SOCKS5 allows no
	// second request, so a SOCKS5 proxy closes the connection.
	EndKeep
	// EndTunnel connects to the target and carries bytes, as if the answer
	// had been right. If the target does not answer, it closes the
	// connection.
	EndTunnel
)

// Fault describes what a [Proxy] does wrong with each request for as long as
// the Fault is set. The Proxy writes Answer, byte for byte, in place of its
// own answer, and then does what Then says. The zero Fault closes the
// connection without an answer.
type Fault struct {
	// Early, if true, makes the fault happen as soon as a connection is
	// accepted, before anything is read from it. EndKeep and EndTunnel then
	// mean EndClose.
	Early bool
	// Answer is written in place of the right answer. If Then is EndTunnel
	// and Answer is "", the right answer is written.
	Answer string
	// Extra is written after the answer, in one piece with it.
	Extra string
	// Then says what follows the answer.
	Then Ending
}

// FaultRefuse returns a Fault that answers with the given HTTP status and
// keeps the connection.
func FaultRefuse(status int) Fault {
	return Fault{Answer: ResponseWith(status, http.StatusText(status)), Then: EndKeep}
}

// FaultRefuseSOCKS returns a Fault that answers with the given reply code of
// RFC 1928 section 6 and closes the connection.
func FaultRefuseSOCKS(code byte) Fault { return Fault{Answer: socksReply(code)} }

// FaultGarbage returns a Fault that answers with bytes that belong to no
// protocol and closes the connection.
func FaultGarbage() Fault { return Fault{Answer: "\x7f\x00no such protocol\r\n\r\n"} }

// FaultStall returns a Fault that reads the request and never answers.
func FaultStall() Fault { return Fault{Then: EndStall} }

// FaultExtra returns a Fault that grants the request and writes extra in one
// piece with the answer, as if the target had spoken first. It then carries
// bytes.
func FaultExtra(extra string) Fault { return Fault{Extra: extra, Then: EndTunnel} }

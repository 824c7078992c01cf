package httptestutil

import "net/http"

// An Ending says what follows the wrong answer of a [Fault].
type Ending int

const (
	// EndClose closes the connection.
	EndClose Ending = iota
	// EndReset closes it with an RST.
	EndReset
	// EndStall leaves it open, without reading or writing, for Bound at most.
	EndStall
	// EndKeep waits for another request on it. SOCKS5 knows no second request
	// and closes.
	EndKeep
	// EndTunnel connects to the target and carries bytes, as if the answer had
	// been right. If the target does not answer, the connection is closed.
	EndTunnel
)

// Fault is what a [Proxy] does wrong with each request, for as long as it is
// set: it writes Answer, byte by byte what it says, in place of an answer of
// its own, and goes on with Then. The zero Fault closes the connection without
// an answer.
type Fault struct {
	// Early makes it happen as soon as the connection is there, before
	// anything is read from it. Such a Fault ends with EndClose in place of
	// EndKeep and EndTunnel.
	Early bool
	// Answer is written in place of the right answer. With EndTunnel, ""
	// stands for the right answer.
	Answer string
	// Extra is written after the answer and in one piece with it.
	Extra string
	// Then is what follows.
	Then Ending
}

// FaultRefuse answers with that HTTP status and keeps the connection.
func FaultRefuse(status int) Fault {
	return Fault{Answer: ResponseWith(status, http.StatusText(status)), Then: EndKeep}
}

// FaultRefuseSOCKS answers with that reply code of RFC 1928 section 6 and
// closes the connection.
func FaultRefuseSOCKS(code byte) Fault { return Fault{Answer: socksReply(code)} }

// FaultGarbage answers with bytes of no protocol and closes the connection.
func FaultGarbage() Fault { return Fault{Answer: "\x7f\x00no such protocol\r\n\r\n"} }

// FaultStall reads the request and never answers.
func FaultStall() Fault { return Fault{Then: EndStall} }

// FaultExtra grants the request and writes extra in one piece with the
// answer, as if the target had spoken first, before it carries bytes.
func FaultExtra(extra string) Fault { return Fault{Extra: extra, Then: EndTunnel} }

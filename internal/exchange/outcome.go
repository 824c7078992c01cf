package exchange

// Outcome says how an exchange ended. Each fact has the same name here, in the protocol that finds it, and in the decision
// whether to send the request again.
type Outcome struct {
	Status    int32     // of the response; 0 if there is none
	Body      *Body     // of the request; nil if it has none, or if the exchange ended before it looked at the body
	KeepAlive KeepAlive // what the response says about the connection; HTTP/1.1 only

	Touched bool // the request's body was read from or closed
	Wrote   bool // a byte of the request was written, or may have been
	Started bool // a byte of the response arrived
	Unfit   bool // the request cannot be written, on this connection or another like it

	BodyFailed bool // the request's own body failed, or its length is not the length that the request declares
	Malformed  bool // the server broke the protocol

	// Only HTTP/2 sets the fields below.
	Refused    bool // the server said that it did not process the request
	TurnedOver bool // refused with GOAWAY(NO_ERROR): the server ends the connection after some time of use
	Lost       bool // the server did not answer a ping, or allows no streams
	Reset      bool // the server reset the stream
	WantsHTTP1 bool // the server wants the request over HTTP/1.1
}

// KeepAlive is what a server says about how long it keeps an idle connection (RFC 9112 appendix C.2.2).
type KeepAlive struct {
	Timeout int32 // seconds; -1 if the server did not say
	Max     int32 // further requests; -1 if the server did not say
}

// Owner owns the connection that an exchange runs on.
type Owner interface {
	// ExchangeDone is called exactly once: when the last byte has been read and written, or when the exchange has been given
	// up. It may be called on any goroutine.
	ExchangeDone(End, Outcome)
}

package exchange

// Outcome is what an exchange came to. Every fact has the same name here, in the protocol that finds it and in the
// decision whether the request is sent again.
type Outcome struct {
	Status    int32     // of the response; 0: there is none
	Body      *Body     // the request's; nil: it has none, or the exchange did not get that far
	KeepAlive KeepAlive // what the response says about the connection; only of HTTP/1.1

	Touched bool // the request's body was read from, or closed
	Wrote   bool // a byte of the request was written, or may have been
	Started bool // a byte of the response arrived
	Unfit   bool // the request cannot be written, on this connection or another like it

	BodyFailed bool // the request's own body failed, or is not as long as the request says
	Malformed  bool // the server has broken the protocol

	// Only HTTP/2 finds these.
	Refused    bool // the server has said that it did not process the request
	TurnedOver bool // refused with GOAWAY(NO_ERROR): the server closes the connection, as it does after a while
	Lost       bool // the connection did not answer a ping, or came to allow no requests
	Reset      bool // the server has ended the stream
	WantsHTTP1 bool // the server wants the request over HTTP/1.1
}

// KeepAlive is what a server says about how long it keeps an idle connection (RFC 9112 appendix C.2.2).
type KeepAlive struct {
	Timeout int32 // seconds; -1: not said
	Max     int32 // further requests; -1: not said
}

// Owner owns the connection that an exchange runs on.
type Owner interface {
	// ExchangeDone is called exactly once, when the last byte has been read and written or the
	// exchange has been given up. It may come on any goroutine.
	ExchangeDone(End, Outcome)
}

package exchange

import (
	"context"
	"errors"
)

// End says how an exchange left its connection. The empty End means that the connection can serve another exchange. Any other
// End is the reason why it cannot, and can be a metric's label.
type End string

const (
	Reusable      End = ""
	EndError      End = "error"
	EndCanceled   End = "canceled"
	EndTimeout    End = "timeout"
	EndClose      End = "connection_close" // one side asked for it, or HTTP/1.0 did not ask for keep-alive
	EndUnread     End = "body_unread"      // the body was closed early, with more bytes left than Close drains
	EndUnsent     End = "request_unsent"   // the response ended before the request was sent
	EndUnexpected End = "unexpected_data"  // the server sent more bytes than the response has
	EndAmbiguous  End = "ambiguous_framing"
	EndAuth       End = "connection_auth" // NTLM or Negotiate has bound the connection to a credential
	EndDiscarded  End = "discarded"       // the caller asked for it
	EndTunnel     End = "tunnel"          // CONNECT, or an upgrade that the server refused
	EndHijacked   End = "hijacked"        // 101: the connection now belongs to the response's body
	EndUnfit      End = "unfit"           // the request could not be written; the connection was not used
)

// GivenUp returns the End of an exchange that its caller has ended: EndTimeout if the deadline of ctx, the request's context,
// has passed, and EndCanceled otherwise.
func GivenUp(ctx context.Context) End {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return EndTimeout
	}
	return EndCanceled
}

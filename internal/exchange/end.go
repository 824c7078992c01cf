package exchange

import (
	"context"
	"errors"
)

// End says how an exchange left its connection. The empty End means that the connection can serve another exchange;
// any other is the reason why not, fit for a metric's label.
type End string

const (
	Reusable      End = ""
	EndError      End = "error"
	EndCanceled   End = "canceled"
	EndTimeout    End = "timeout"
	EndClose      End = "connection_close" // one side said so, or HTTP/1.0 did not say otherwise
	EndUnread     End = "body_unread"      // closed early, with more left than is drained
	EndUnsent     End = "request_unsent"   // the response ended first
	EndUnexpected End = "unexpected_data"  // more bytes than the response has
	EndAmbiguous  End = "ambiguous_framing"
	EndAuth       End = "connection_auth" // NTLM or Negotiate has bound it to somebody
	EndDiscarded  End = "discarded"       // by the caller
	EndTunnel     End = "tunnel"          // CONNECT, or an upgrade that was asked for and refused
	EndHijacked   End = "hijacked"        // 101: the connection now belongs to the response's body
	EndUnfit      End = "unfit"           // the request could not be written; the connection was not used
)

// GivenUp says how an exchange ends that its caller has ended: EndTimeout if the deadline of the request's context has
// passed, EndCanceled otherwise.
func GivenUp(ctx context.Context) End {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return EndTimeout
	}
	return EndCanceled
}

package otelpool

import (
	"net/netip"
	"strings"

	"github.com/peerpool/peerpool"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// These are the attributes that have no name in the conventions.
const (
	keyName           = attribute.Key("peerpool.name")
	keyOutcome        = attribute.Key("peerpool.acquire.outcome") // hit, miss or error
	keyMiss           = attribute.Key("peerpool.miss.reason")
	keyClose          = attribute.Key("peerpool.close.reason")
	keyRetry          = attribute.Key("peerpool.retry.reason")
	keyRetryOutcome   = attribute.Key("peerpool.retry.outcome") // saved or failed
	keyTimeLimit      = attribute.Key("peerpool.time_limit")    // that has ended the request
	keyReused         = attribute.Key("peerpool.connection.reused")
	keyRequestOutcome = attribute.Key("peerpool.request.outcome") // error or truncated
	keyIdentity       = attribute.Key("peerpool.identity")        // the text of Identity.String, which holds no secret
	keyAttempt        = attribute.Key("peerpool.attempt")         // 1 for the first
	keyConn           = attribute.Key("peerpool.connection.id")   // unique in the process
	keyUses           = attribute.Key("peerpool.connection.uses") // number of uses before this one
	keyAge            = attribute.Key("peerpool.connection.age")  // in seconds
	keyIdle           = attribute.Key("peerpool.connection.idle") // in seconds
	keyWait           = attribute.Key("peerpool.wait.duration")   // in seconds
	keyWaitReason     = attribute.Key("peerpool.wait.reason")     // max_conns
	keyPlace          = attribute.Key("peerpool.unexpected_data.place")
)

const (
	outcomeHit   = "hit"
	outcomeMiss  = "miss"
	outcomeError = "error"

	waitMaxConns = "max_conns" // there were as many connections and dials as MaxConnsPerHost allows

	placeIdle   = "while_idle"      // on an idle connection that the request was to use
	placeBehind = "behind_response" // behind the response of the request

	retrySaved  = "saved"
	retryFailed = "failed"
)

// protocolVersion returns the value of network.protocol.version.
func protocolVersion(protocol string) string { return strings.TrimPrefix(protocol, "HTTP/") }

// peerAttributes returns attributes of the peer that connections of an identity lead to. text names the peer in the
// name of a span, as the conventions say.
func peerAttributes(id peerpool.Identity) (attrs []attribute.KeyValue, text string) {
	addr := id.Address()
	if id.Network() == "unix" {
		return []attribute.KeyValue{semconv.NetworkPeerAddress(addr), semconv.NetworkTransportUnix}, addr
	}
	attrs = []attribute.KeyValue{semconv.NetworkTransportTCP}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		family := semconv.NetworkTypeIPv6
		if ap.Addr().Is4() {
			family = semconv.NetworkTypeIPv4
		}
		attrs = append(attrs, semconv.NetworkPeerAddress(ap.Addr().String()), semconv.NetworkPeerPort(int(ap.Port())), family)
	}
	return attrs, addr
}

package otelpool

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/peerpool/peerpool"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// The attributes that the conventions have no name for.
const (
	keyName         = attribute.Key("peerpool.name")
	keyOutcome      = attribute.Key("peerpool.acquire.outcome") // hit, miss or error
	keyMiss         = attribute.Key("peerpool.miss.reason")
	keyClose        = attribute.Key("peerpool.close.reason")
	keyRetry        = attribute.Key("peerpool.retry.reason")
	keyRetryOutcome = attribute.Key("peerpool.retry.outcome")   // saved or failed
	keyIdentity     = attribute.Key("peerpool.identity")        // as Identity.String has it, without a secret
	keyAttempt      = attribute.Key("peerpool.attempt")         // 1 for the first
	keyConn         = attribute.Key("peerpool.connection.id")   // unique in the process
	keyUses         = attribute.Key("peerpool.connection.uses") // before this one
	keyAge          = attribute.Key("peerpool.connection.age")  // in seconds
	keyIdle         = attribute.Key("peerpool.connection.idle") // in seconds
	keyWait         = attribute.Key("peerpool.wait.duration")   // in seconds
)

const (
	outcomeHit   = "hit"
	outcomeMiss  = "miss"
	outcomeError = "error"

	retrySaved  = "saved"
	retryFailed = "failed"
)

// protocolVersion is the value of network.protocol.version.
func protocolVersion(protocol string) string { return strings.TrimPrefix(protocol, "HTTP/") }

// lookupError is the error.type of a look-up, or "" for one that its caller has canceled, which is no error of anybody's.
func lookupError(err error) peerpool.ErrorType {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		switch {
		case errors.Is(err, context.Canceled):
			return ""
		case errors.Is(err, context.DeadlineExceeded):
			return "timeout"
		}
		return peerpool.ErrorType(semconv.ErrorTypeOther.Value.AsString())
	}
	switch {
	case dns.IsNotFound:
		return "host_not_found"
	case dns.IsTimeout:
		return "timeout"
	case dns.IsTemporary:
		return "try_again"
	}
	return "no_recovery"
}

// connectError is the error.type of a socket that could not be connected, by the names that .NET has for them; otherwise
// what has no name of its own.
func connectError(err error, otherwise peerpool.ErrorType) peerpool.ErrorType {
	for _, known := range []struct {
		is   error
		name peerpool.ErrorType
	}{
		{syscall.ECONNREFUSED, "connection_refused"},
		{syscall.ECONNRESET, "connection_reset"},
		{syscall.EHOSTUNREACH, "host_unreachable"},
		{syscall.ENETUNREACH, "network_unreachable"},
		{syscall.EADDRNOTAVAIL, "address_not_available"},
	} {
		if errors.Is(err, known.is) {
			return known.name
		}
	}
	return otherwise
}

// peerAttributes describes what an identity is connected to. text is what the conventions put into a span's name.
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

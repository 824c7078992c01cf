package http2

import (
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
)

// The names of a request's fields, and how fields with these names are sent.

// nameKind says how a field of a request's header is sent.
type nameKind uint8

const (
	plainName     nameKind = iota
	unsentName             // HTTP/2 says it in another way, or it means nothing in HTTP/2
	userAgentName          // sent at most once
	cookieName
)

type sentName struct {
	lower string
	kind  nameKind
}

// sentNames has the names that most requests use, in canonical form.
var sentNames = func() map[string]sentName {
	names := make(map[string]sentName)
	for _, name := range words(`Accept Accept-Charset Accept-Encoding Accept-Language Authorization Cache-Control
		Connection Content-Encoding Content-Length Content-Type Cookie Expect Forwarded From Grpc-Timeout Host
		Idempotency-Key If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Link Max-Forwards
		Origin Pragma Prefer Proxy-Connection Range Referer Te Traceparent Tracestate Transfer-Encoding Upgrade User-Agent
		Via X-Amz-Content-Sha256 X-Amz-Date X-Amz-Security-Token X-Api-Key X-Correlation-Id X-Forwarded-For
		X-Forwarded-Host X-Forwarded-Proto X-Goog-Api-Client X-Real-Ip X-Request-Id`) {
		lower := ascii.ToLower(name)
		names[name] = sentName{lower, kindOf(lower)}
	}
	return names
}()

func kindOf(lower string) nameKind {
	switch lower {
	case "host", "content-length", "connection", "proxy-connection", "transfer-encoding", "upgrade", "keep-alive", ":protocol":
		return unsentName
	case "user-agent":
		return userAgentName
	case "cookie":
		return cookieName
	}
	return plainName
}

// words returns the words of list, which is a constant of this package.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r <= ' ' })
}

// lowerName returns the name of a field in lower case, as it is sent, and how the field is sent. Names are tokens, so they
// are ASCII.
func lowerName(name string) (string, nameKind) {
	if known, ok := sentNames[name]; ok {
		return known.lower, known.kind
	}
	lower := ascii.ToLower(name)
	return lower, kindOf(lower)
}

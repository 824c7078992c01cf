package exchange

import (
	"net/http"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
)

// RequestBinds reports whether a request with this header may bind its connection; see BindsConnection.
func RequestBinds(header http.Header) bool {
	for name, values := range header {
		if BindsConnection(name, values) {
			return true
		}
	}
	return false
}

// BindsConnection reports whether a field of a request carries a credential of NTLM or Negotiate. It ignores the case of the
// field's name. NTLM and Negotiate authenticate a connection, not a request: the server may take the next user of the
// connection for the first one. A request that carries such a credential counts as much as a challenge of the server, because
// some clients authenticate before the server asks for it.
func BindsConnection(name string, values []string) bool {
	switch len(name) {
	case len("Authorization"):
		return ascii.EqualFold(name, "Authorization") && bound(values)
	case len("Proxy-Authorization"):
		return ascii.EqualFold(name, "Proxy-Authorization") && bound(values)
	}
	return false
}

// ChallengeBinds reports whether a response asks for a credential of NTLM or Negotiate.
func ChallengeBinds(status int, header http.Header) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return bound(header["Www-Authenticate"]) || bound(header["Proxy-Authenticate"])
	}
	return false
}

// bound reports whether one of the comma-separated parts of values begins with NTLM or Negotiate.
func bound(values []string) bool {
	for _, rest := range values {
		for more := true; more; {
			var part string
			part, rest, more = strings.Cut(rest, ",")
			if part = ascii.TrimSpace(part); part == "" || ascii.Lower(part[0]) != 'n' {
				continue
			}
			scheme, _, _ := strings.Cut(part, " ")
			if ascii.EqualFold(scheme, "NTLM") || ascii.EqualFold(scheme, "Negotiate") {
				return true
			}
		}
	}
	return false
}

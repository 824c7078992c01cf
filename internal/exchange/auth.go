package exchange

import (
	"net/http"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
)

// BindsConnection says that NTLM or Negotiate went over the connection: they authenticate a connection
// rather than a request, so that whoever uses it next would be taken for somebody else. A request that
// carries them counts as well as a challenge: some clients authenticate before they are asked.
func BindsConnection(asked http.Header, status int, answered http.Header) bool {
	for name, values := range asked { // whatever way its name is spelled
		if (ascii.EqualFold(name, "Authorization") || ascii.EqualFold(name, "Proxy-Authorization")) && bound(values) {
			return true
		}
	}
	switch status {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return bound(answered["Www-Authenticate"]) || bound(answered["Proxy-Authenticate"])
	}
	return false
}

func bound(values []string) bool {
	for _, v := range values {
		for challenge := range strings.SplitSeq(v, ",") {
			scheme, _, _ := strings.Cut(ascii.TrimSpace(challenge), " ")
			if ascii.EqualFold(scheme, "NTLM") || ascii.EqualFold(scheme, "Negotiate") {
				return true
			}
		}
	}
	return false
}

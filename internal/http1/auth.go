package http1

import (
	"net/http"
	"strings"
)

// bindsConnection says that NTLM or Negotiate went over the connection: they authenticate a connection
// rather than a request, so that whoever uses it next would be taken for somebody else. A request that
// carries them counts as well as a challenge: some clients authenticate before they are asked.
func bindsConnection(asked http.Header, h *head) bool {
	for name, values := range asked { // whatever way its name is spelled
		if (strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Proxy-Authorization")) && bound(values) {
			return true
		}
	}
	switch h.code {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return bound(h.header["Www-Authenticate"]) || bound(h.header["Proxy-Authenticate"])
	}
	return false
}

func bound(values []string) bool {
	for _, v := range values {
		for challenge := range strings.SplitSeq(v, ",") {
			scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
			if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
				return true
			}
		}
	}
	return false
}

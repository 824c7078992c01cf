package http1

import (
	"net/http"
	"slices"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
	"golang.org/x/net/http/httpguts"
)

// sentHeader is what the exchange wants to know of a header that is about to be sent. One walk through the header finds it.
type sentHeader struct {
	intents intents

	agent      string // the User-Agent
	agentGiven bool   // the caller has set it, perhaps to nothing

	// choosesEncoding says that the caller has chosen an encoding, or wants a range, which is a range of the encoded bytes.
	// Otherwise the choice of an encoding is left to the exchange.
	choosesEncoding bool
}

type sentField struct {
	name   string
	values []string
}

// intents are what the header of a request means for its connection once the response has been read.
type intents uint8

const (
	intendsClose   intents = 1 << iota // in the Connection field
	intendsUpgrade                     // another protocol is asked for
	intendsBinding                     // a credential is one of NTLM or Negotiate: the connection may now belong to it
)

// fewSent is how many fields are sorted without a call of a function.
const fewSent = 12

// readHeader walks through header. It appends the fields that are sent as they are to room, in the order of their names, so
// that equal requests are equal bytes. If room is large enough, nothing is allocated.
func readHeader(header http.Header, room []sentField) (h sentHeader, fields []sentField) {
	fields = room
	for name, values := range header {
		if !h.read(name, values) {
			fields = append(fields, sentField{name, values})
		}
	}
	if len(fields) > 1 {
		sortFields(fields)
	}
	return h, fields
}

func sortFields(fields []sentField) {
	if len(fields) > fewSent {
		slices.SortFunc(fields, func(a, b sentField) int { return strings.Compare(a.name, b.name) })
		return
	}
	for i := 1; i < len(fields); i++ {
		for j := i; j > 0 && fields[j].name < fields[j-1].name; j-- {
			fields[j], fields[j-1] = fields[j-1], fields[j]
		}
	}
}

// read notes what a field means. It returns true if the exchange writes the field itself. User-Agent is written first, as
// net/http does. The other fields that the exchange writes decide where a request ends and who gets it, so there must not be
// a second one, however its name is spelled.
func (h *sentHeader) read(name string, values []string) (own bool) {
	switch len(name) {
	case len("Host"):
		return ascii.EqualFold(name, "Host")
	case len("Range"):
		h.choosesEncoding = h.choosesEncoding || name == "Range" && firstOf(values) != ""
	case len("Trailer"): // or Upgrade
		if name == "Upgrade" && len(values) > 0 {
			h.intents |= intendsUpgrade
		}
		return ascii.EqualFold(name, "Trailer")
	case len("Connection"): // or User-Agent
		if name == "Connection" && httpguts.HeaderValuesContainsToken(values, "close") {
			h.intents |= intendsClose
		}
		if name == "User-Agent" {
			h.agent, h.agentGiven = firstOf(values), true
			return true
		}
	case len("Authorization"), len("Proxy-Authorization"):
		if exchange.BindsConnection(name, values) {
			h.intents |= intendsBinding
		}
	case len("Content-Length"):
		return ascii.EqualFold(name, "Content-Length")
	case len("Accept-Encoding"):
		h.choosesEncoding = h.choosesEncoding || name == "Accept-Encoding" && firstOf(values) != ""
	case len("Transfer-Encoding"):
		return ascii.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

package http1

import (
	"net/http"
	"slices"
	"strings"

	"github.com/peerpool/peerpool/internal/ascii"
	"github.com/peerpool/peerpool/internal/exchange"
	"golang.org/x/net/http/httpguts"
)

// sentHeader is a header that is about to be sent. Everything that the exchange wants to know of it is found in one walk.
type sentHeader struct {
	header http.Header
	names  nameSet
	fields []sentField // those that are sent as they are, in the order of their names, so that equal requests are equal bytes

	bindsConnection bool // a credential is one of NTLM or Negotiate
}

type sentField struct {
	name   string
	values []string
}

// fewSent is how many fields are sorted without a call of a function.
const fewSent = 12

// readHeader walks through header. If room is large enough, nothing is allocated.
func readHeader(header http.Header, room []sentField) sentHeader {
	h := sentHeader{header: header, fields: room}
	for name, values := range header {
		h.names |= setOf(name)
		if exchange.BindsConnection(name, values) {
			h.bindsConnection = true
		}
		if !ownField(name) {
			h.fields = append(h.fields, sentField{name, values})
		}
	}
	sortFields(h.fields)
	return h
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

// get returns the values of a field by its canonical name.
func (h *sentHeader) get(name string) []string {
	if h.names&setOf(name) == 0 {
		return nil
	}
	return h.header[name]
}

// closes reports whether the caller intents the server to close the connection.
func (h *sentHeader) closes() bool {
	return httpguts.HeaderValuesContainsToken(h.get("Connection"), "close")
}

// upgrades reports whether the request is for another protocol on the connection.
func (h *sentHeader) upgrades() bool { return len(h.get("Upgrade")) > 0 }

// leavesEncoding reports whether the caller leaves the choice of an encoding to the exchange. A range is one of the encoded
// bytes, so a caller who intents for one does not.
func (h *sentHeader) leavesEncoding() bool {
	return emptyField(h.get("Accept-Encoding")) && emptyField(h.get("Range"))
}

func emptyField(values []string) bool { return len(values) == 0 || values[0] == "" }

// userAgent returns the User-Agent that the caller has given, if it has.
func (h *sentHeader) userAgent() (agent string, given bool) {
	if h.names&setOf("User-Agent") == 0 {
		return "", false
	}
	values, given := h.header["User-Agent"]
	if len(values) == 0 {
		return "", given
	}
	return values[0], true
}

// ownField reports whether the exchange writes the field itself. User-Agent is written first, as net/http does. The others
// decide where a request ends and who gets it, so there must not be a second one.
func ownField(name string) bool {
	switch len(name) {
	case len("Host"):
		return ascii.EqualFold(name, "Host")
	case len("Trailer"):
		return ascii.EqualFold(name, "Trailer")
	case len("User-Agent"):
		return name == "User-Agent"
	case len("Content-Length"):
		return ascii.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return ascii.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// intents are what the header of a request means for its connection once the response has been read.
type intents uint8

const (
	intendsClose   intents = 1 << iota // in the Connection field
	intendsUpgrade                     // another protocol is asked for
	intendsBinding                     // the connection may now belong to the request's credential
)

func (h *sentHeader) intents() (all intents) {
	if h.closes() {
		all |= intendsClose
	}
	if h.upgrades() {
		all |= intendsUpgrade
	}
	if h.bindsConnection {
		all |= intendsBinding
	}
	return all
}

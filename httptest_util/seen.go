package httptestutil

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// These are the headers with which an [Origin] tells a client, in every
// response, where its request arrived.
const (
	HeaderOrigin = "X-Origin" // the origin's address
	HeaderConn   = "X-Conn"   // number of the connection, from 1
	HeaderSeq    = "X-Seq"    // number of the request on its connection, from 1
)

// Seen describes what an [Origin] saw of one request. [Echo] sends it as JSON
// in the body of its answer.
type Seen struct {
	Origin     string      `json:"origin"`                // Origin.Addr
	Conn       int         `json:"conn"`                  // number of the connection, in the order of their acceptance, from 1
	Seq        int         `json:"seq"`                   // number of the request on that connection, from 1
	Method     string      `json:"method"`                // GET, POST
	Target     string      `json:"target"`                // the request-target as it was sent
	Host       string      `json:"host"`                  // Host or :authority
	Proto      string      `json:"proto"`                 // "HTTP/1.1", "HTTP/2.0"
	RemoteAddr string      `json:"remote_addr"`           // the client's address
	Header     http.Header `json:"header"`                // the request's header
	TLSVersion string      `json:"tls_version,omitempty"` // "TLS 1.3"; empty without TLS
	SNI        string      `json:"sni,omitempty"`         // the server name that the client asked for
	ALPN       string      `json:"alpn,omitempty"`        // the negotiated protocol
	ClientCN   string      `json:"client_cn,omitempty"`   // common name of the client's certificate
	DidResume  bool        `json:"did_resume,omitempty"`  // the connection resumed an earlier TLS session
}

type seenKey struct{}

// SeenBy returns what an [Origin] saw of r. Call it in the origin's handler,
// with the handler's request. It returns the zero Seen if r does not come
// from an Origin.
func SeenBy(r *http.Request) Seen {
	seen, _ := r.Context().Value(seenKey{}).(Seen)
	return seen
}

func withSeen(r *http.Request, seen Seen) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), seenKey{}, seen))
}

func (s *Seen) setTLS(state *tls.ConnectionState) {
	if state == nil {
		return
	}
	s.TLSVersion = tls.VersionName(state.Version)
	s.SNI = state.ServerName
	s.ALPN = state.NegotiatedProtocol
	s.DidResume = state.DidResume
	if len(state.PeerCertificates) > 0 {
		s.ClientCN = state.PeerCertificates[0].Subject.CommonName
	}
}

// Echo is the default handler of an [Origin]. It reads the request's body to
// its end and answers with status 200 and a [Seen] as JSON.
func Echo(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// An error means that the client has gone away. The client reports it.
	_ = json.NewEncoder(w).Encode(SeenBy(r))
}

// ReadSeen reads the answer of [Echo] to its end, closes its body and returns
// the [Seen] in it. It ends the test if resp holds anything else.
func ReadSeen(t testing.TB, resp *http.Response) Seen {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatalf("httptestutil: reading the origin's answer: %v", err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("httptestutil: the origin answered %s: %.200q", resp.Status, body)
	}
	var seen Seen
	if err := json.Unmarshal(body, &seen); err != nil {
		t.Fatalf("httptestutil: the answer is not an echo: %v: %.200q", err, body)
	}
	return seen
}

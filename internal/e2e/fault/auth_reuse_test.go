package fault_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// ntlm is a server that authenticates connections, as NTLM does: after the third step of the handshake, it takes every
// request on the connection for one of the same user.
func ntlm(c *httptestutil.WireConn) {
	user, step := "nobody", 0
	for req := c.ReadRequest(); req != nil; req = c.ReadRequest() {
		switch auth := req.Header.Get("Authorization"); {
		case auth == "NTLM negotiate":
			step = 1
			c.Write(httptestutil.ResponseWith(401, "", "WWW-Authenticate: NTLM challenge"))
			continue
		case step == 1 && auth == "NTLM "+req.Header.Get("X-User"):
			user, step = req.Header.Get("X-User"), 2
		}
		c.Write(httptestutil.Response(fmt.Sprintf("%s on %d", user, c.Number())))
	}
	c.WaitClosed()
}

// logIn does the handshake and sends a request without credentials. It returns the user for whose request the server takes it.
func logIn(s *testkit.Subject, url, user string, group *peerpool.Peer) string {
	s.T.Helper()
	ctx := peerpool.WithPeer(s.T.Context(), group)
	for _, auth := range []string{"NTLM negotiate", "NTLM " + user} {
		req := testkit.With(testkit.NewRequest(s.T, "GET", url, nil), "Authorization: "+auth, "X-User: "+user)
		s.Send(req.WithContext(ctx))
	}
	return s.Ok(testkit.NewRequest(s.T, "GET", url, nil).WithContext(ctx))
}

func groupOf(t *testing.T, user string) *peerpool.Peer {
	t.Helper()
	p, err := peerpool.NewPeer(peerpool.PeerOptions{Group: user})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnAuthenticatedConnectionIsNobodyElses(t *testing.T) {
	wire := httptestutil.NewWire(t, ntlm)
	s := testkit.Observe(t, &peerpool.Transport{})
	if got := logIn(s, wire.URL(), "ada", nil); got != "nobody on 3" {
		t.Errorf("without a Group the server saw %s", got)
	}
	s.Closes("connection_auth", 2)
}

func TestAnAuthenticatedConnectionStaysWithItsGroup(t *testing.T) {
	wire := httptestutil.NewWire(t, ntlm)
	s := testkit.Observe(t, &peerpool.Transport{})
	if got := logIn(s, wire.URL(), "ada", groupOf(t, "ada")); got != "ada on 1" {
		t.Errorf("ada was seen as %s", got)
	}
	if got := logIn(s, wire.URL(), "bob", groupOf(t, "bob")); got != "bob on 2" {
		t.Errorf("bob was seen as %s", got)
	}
	if got := s.Get(wire.URL()); got != "nobody on 3" {
		t.Errorf("somebody without a Group was seen as %s", got)
	}
	ctx := peerpool.WithPeer(t.Context(), groupOf(t, "ada")) // another Peer of the same Group
	if got := s.Ok(testkit.NewRequest(t, http.MethodGet, wire.URL(), nil).WithContext(ctx)); got != "ada on 1" {
		t.Errorf("ada was later seen as %s", got)
	}
}

func TestNTLMBindsAConnectionHoweverItsFieldIsSpelled(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "AUTHORIZATION", "proxy-authorization"} {
		t.Run(name, func(t *testing.T) {
			o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
			s := testkit.Observe(t, &peerpool.Transport{})
			req := testkit.NewRequest(t, "GET", o.URL(), nil)
			req.Header[name] = []string{"NTLM AAAA"}
			s.Send(req)
			if st := s.Stats(); st.Idle != 0 || st.Closes["connection_auth"] != 1 {
				t.Errorf("%d connections idle, closes: %v; want one for %q", st.Idle, st.Closes, "connection_auth")
			}
			if seen := s.Seen(testkit.NewRequest(t, "GET", o.URL(), nil)); seen.Conn != 2 {
				t.Errorf("the next request went over connection %d, want another one", seen.Conn)
			}
		})
	}
}

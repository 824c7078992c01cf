package fault_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// misdirecting answers the request after the first good ones with 421.
func misdirecting(good int) httptestutil.Script {
	return func(c *httptestutil.WireConn) {
		for range good {
			c.ReadRequest()
			c.Write(testkit.Ok)
		}
		c.ReadRequest()
		c.Write(httptestutil.ResponseWith(http.StatusMisdirectedRequest, "not here"))
		c.WaitClosed()
	}
}

func TestAMisdirectedRequestIsSentOnceMoreOnAConnectionOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		method string
		body   io.Reader
		want   string
	}{
		{"GET", nil, testkit.DigestOf("", 0)},
		{"POST", nil, testkit.DigestOf("", 0)}, // it was refused, not acted upon
		{"POST", testkit.Again("the body"), testkit.DigestOf("the body", 8)},
	} {
		httptestutil.CheckLeaks(t)
		wire := httptestutil.NewWire(t, httptestutil.PerConn(misdirecting(1), testkit.Digests))
		s := testkit.Observe(t, &peerpool.Transport{})
		s.Get(wire.URL())
		if got := s.Ok(testkit.NewRequest(t, c.method, wire.URL(), c.body)); got != c.want {
			t.Errorf("%s: the server got %s, want %s", c.method, got, c.want)
		}
		s.Events.WantRetries(t, "misdirected")
		if st := s.Stats(); st.Retries != (peerpool.Retries{Misdirected: 1, Saved: 1}) || wire.Conns() != 2 {
			t.Errorf("%s: %+v, %d connections", c.method, st, wire.Conns())
		}
	}
}

func TestASecond421IsTheAnswer(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, httptestutil.PerConn(misdirecting(1), misdirecting(0)))
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(wire.URL())
	resp, body := s.Send(testkit.NewRequest(t, "GET", wire.URL(), nil))
	if resp.StatusCode != 421 || body != "not here" {
		t.Errorf("%s %q", resp.Status, body)
	}
	s.Events.WantRetries(t, "misdirected")
}

func TestA421OnANewConnectionIsTheAnswer(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, misdirecting(0))
	s := testkit.Observe(t, &peerpool.Transport{})
	if resp, _ := s.Send(testkit.NewRequest(t, "GET", wire.URL(), nil)); resp.StatusCode != 421 {
		t.Errorf("%s", resp.Status)
	}
	s.Events.WantRetries(t)
}

func TestA421ToABodyThatIsGoneIsTheAnswer(t *testing.T) {
	httptestutil.CheckLeaks(t)
	wire := httptestutil.NewWire(t, misdirecting(1))
	s := testkit.Observe(t, &peerpool.Transport{})
	s.Get(wire.URL())
	if resp, _ := s.Send(testkit.NewRequest(t, "POST", wire.URL(), testkit.Once("the body"))); resp.StatusCode != 421 {
		t.Errorf("%s", resp.Status)
	}
	s.Events.WantRetries(t)
}

func TestNoOtherStatusIsSentAgain(t *testing.T) {
	httptestutil.CheckLeaks(t)
	for _, status := range []int{400, 401, 408, 409, 425, 429, 500, 502, 503, 504} {
		wire := httptestutil.NewWire(t, httptestutil.Replies(testkit.Ok, httptestutil.ResponseWith(status, "no")))
		s := testkit.Observe(t, &peerpool.Transport{})
		s.Get(wire.URL())
		if resp, _ := s.Send(testkit.NewRequest(t, "GET", wire.URL(), nil)); resp.StatusCode != status || wire.Requests() != 2 {
			t.Errorf("%s after %d requests", resp.Status, wire.Requests())
		}
		s.Events.WantRetries(t)
	}
}

package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"reflect"
	"testing"

	"github.com/peerpool/peerpool/internal/exchange"
)

// maxSeed keeps seeds small enough to be mutated in no time.
const maxSeed = 2 << 10

// pieces is a connection on which data arrives, at most piece bytes at a time.
type pieces struct {
	net.Conn
	data  []byte
	piece int
	sent  bytes.Buffer
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.piece)], p.data)
	p.data = p.data[n:]
	return n, nil
}

func (p *pieces) Write(b []byte) (int, error) { return p.sent.Write(b) }

func (p *pieces) Close() error { return nil }

// received is what a reader makes of a response.
type received struct {
	Status, Proto   string
	Code, Minor     int
	Length          int64
	Encoding        []string
	Close           bool
	Header, Trailer http.Header
	Body            string
	Left            int // bytes behind the response that have not been touched
}

func newReceived(resp *http.Response, body []byte, left int) *received {
	return &received{
		Status: resp.Status, Proto: resp.Proto, Code: resp.StatusCode, Minor: resp.ProtoMinor,
		Length: resp.ContentLength, Encoding: resp.TransferEncoding, Close: resp.Close,
		Header: resp.Header, Trailer: resp.Trailer, Body: string(body), Left: left,
	}
}

// byUs reads a response that comes in pieces of one size, into reads of another.
func byUs(data []byte, method string, piece, size int) (*received, exchange.End, error) {
	nc := &pieces{data: data, piece: piece}
	req, _ := http.NewRequest(method, "http://example.test/", nil)
	e := exchangeOn(NewConn(nc), req)
	resp, err := e.Run()
	if err != nil {
		return nil, e.Owner.(*owner).end, err
	}
	body, err := readBy(resp.Body, size)
	resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols { // what follows belongs to the other protocol
		return newReceived(resp, nil, len(body)), e.Owner.(*owner).end, err
	}
	return newReceived(resp, body, len(nc.data)), e.Owner.(*owner).end, err
}

// readBy reads r to its end, size bytes at a time.
func readBy(r io.Reader, size int) (all []byte, err error) {
	buf := make([]byte, size)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// byReference reads a response with http.ReadResponse.
func byReference(data []byte, method string) (*received, error) {
	rest := bytes.NewReader(data)
	br := bufio.NewReaderSize(rest, max(16, len(data))) // it wants a trailer to fit into its buffer
	req, _ := http.NewRequest(method, "http://example.test/", nil)
	resp, err := http.ReadResponse(br, req)
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(br, req)
	}
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	return newReceived(resp, body, br.Buffered()+rest.Len()), err
}

// allow takes out of what the reference read all that we leave out on purpose. This is the whole list.
//
//   - A field that decides about framing or routing is dropped when it turns up in a trailer.
func (r *received) allow(ours *received) {
	for name := range r.Trailer {
		if forbiddenTrailer(name) {
			delete(r.Trailer, name)
		}
	}
	for _, r := range []*received{r, ours} {
		if len(r.Trailer) == 0 {
			r.Trailer = nil
		}
	}
}

// FuzzResponse checks that what we accept as a response, to the end of its body, http.ReadResponse
// accepts too, and that both see the same in it and stop at the same byte.
func FuzzResponse(f *testing.F) {
	for _, c := range wireCases {
		if len(c.answer) > maxSeed {
			continue
		}
		f.Add([]byte(c.answer), c.method == http.MethodHead)
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		// Byte by byte there is nothing to read ahead: what is left has not been touched.
		ours, end, err := byUs(data, method, 1, 512)
		if whole, wholeEnd, wholeErr := byUs(data, method, len(data)+1, 512); err == nil {
			sameInOnePiece(t, ours, end, whole, wholeEnd, wholeErr)
		} else if wholeErr == nil {
			t.Errorf("in one piece accepted, byte by byte: %v", err)
		}
		if err != nil {
			return
		}
		theirs, err := byReference(data, method)
		if err != nil {
			t.Fatalf("we accept what http.ReadResponse does not: %v", err)
		}
		theirs.allow(ours)
		if !reflect.DeepEqual(ours, theirs) {
			t.Errorf("we and http.ReadResponse differ:\n%+v\n%+v", ours, theirs)
		}
	})
}

// sameInOnePiece checks that the result does not depend on the pieces in which a response arrives. There is one
// exception: an exchange notices bytes behind the response only if it has read them.
func sameInOnePiece(t *testing.T, bytewise *received, end exchange.End, whole *received, wholeEnd exchange.End, err error) {
	if err != nil {
		t.Fatalf("byte by byte accepted, in one piece: %v", err)
	}
	if end == exchange.Reusable && bytewise.Left > 0 {
		end = exchange.EndUnexpected
	}
	if wholeEnd != end {
		t.Errorf("in one piece the exchange ends as %q, byte by byte as %q", wholeEnd, end)
	}
	copied := *whole
	copied.Left = bytewise.Left
	if !reflect.DeepEqual(&copied, bytewise) {
		t.Errorf("in one piece: %+v\nbyte by byte: %+v", whole, bytewise)
	}
}

// FuzzChunked checks that a chunked body reads the same however it arrives and is asked for, and not
// otherwise than by http.ReadResponse.
func FuzzChunked(f *testing.F) {
	for i, c := range chunkedCases {
		if rest, ok := bytes.CutPrefix([]byte(c.answer), []byte(chunkedHead)); ok && len(rest) <= maxSeed {
			f.Add(rest, uint8(i), uint8(2*i))
		}
	}
	f.Fuzz(func(t *testing.T, coded []byte, piece, size uint8) {
		data := append([]byte(chunkedHead), coded...)
		ours, _, err := byUs(data, http.MethodGet, int(piece)+1, int(size)+1)
		whole, _, wholeErr := byUs(data, http.MethodGet, len(data), len(data))
		if (err == nil) != (wholeErr == nil) {
			t.Fatalf("in pieces: %v, in one: %v", err, wholeErr)
		}
		if ours == nil || whole == nil || ours.Body != whole.Body {
			t.Fatalf("in pieces %+v, in one %+v", ours, whole)
		}
		if err != nil {
			return
		}
		theirs, err := byReference(data, http.MethodGet)
		if err != nil {
			t.Fatalf("we accept what http.ReadResponse does not: %v", err)
		}
		if theirs.allow(ours); theirs.Body != ours.Body || !reflect.DeepEqual(theirs.Trailer, ours.Trailer) {
			t.Errorf("we and http.ReadResponse differ:\n%+v\n%+v", ours, theirs)
		}
	})
}

// This holds on systems of any word size.
func TestAHugeKeepAliveIsThatOfTheBound(t *testing.T) {
	for _, n := range []string{"16777216", "2147483648", "4294967301", "99999999999999999999"} {
		ka := keepAlive(http.Header{"Keep-Alive": {"timeout=" + n + ", max=" + n}})
		if want := (exchange.KeepAlive{Timeout: maxHint, Max: maxHint}); ka != want {
			t.Errorf("%s is %+v, want %+v", n, ka, want)
		}
	}
}

// FuzzKeepAlive checks that a hint is a number that no arithmetic overflows, or none.
func FuzzKeepAlive(f *testing.F) {
	for _, s := range []string{"timeout=5, max=100", "timeout=5", "max=0", "timeout=\"5\"", "timeout=-1",
		"TIMEOUT = 5 , MAX=1", "timeout=99999999999999999999", "timeout", "=", ",,", "timeout=5,timeout=7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		ka := keepAlive(http.Header{"Keep-Alive": {value}})
		for _, n := range []int32{ka.Timeout, ka.Max} {
			if n < -1 || n > maxHint {
				t.Errorf("%q is %+v", value, ka)
			}
		}
		if again := keepAlive(http.Header{"Keep-Alive": {value, "unknown=1"}}); again != ka {
			t.Errorf("an unknown parameter changes %+v to %+v", ka, again)
		}
		if last := keepAlive(http.Header{"Keep-Alive": {value, "timeout=3", "max=4"}}); last != (exchange.KeepAlive{Timeout: 3, Max: 4}) {
			t.Errorf("a later line loses against %q: %+v", value, last)
		}
	})
}

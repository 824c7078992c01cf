package differential_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/metrics"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// fuzzRequests is how many requests are under way: on the streams 1, 3, 5 and so on.
const fuzzRequests = 4

var fuzzUpload = strings.Repeat("u", 300_000)

// fuzzMemory bounds what is allocated for one input, in bytes. What a head comes to is bounded by the Transport, and so is
// what it may hold unread.
const fuzzMemory = 64 << 20

// FuzzServerFrames has a server send frames that data describes, and then close the connection. Whatever they are, every
// request ends, nothing is left, and no response has anything in it that was not sent on its own stream.
func FuzzServerFrames(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := allocated()
		synctest.Test(t, func(t *testing.T) { fuzzServer(t, data) })
		if n := allocated() - before; n > fuzzMemory {
			t.Errorf("%d bytes were allocated", n)
		}
	})
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// fuzzSeeds are a response, one with trailers, and one of each kind of frame; see fuzzFrames.
var fuzzSeeds = []string{
	"\x0b\x00\x05\x01a",
	"\x0b\x00\x04\x02bc\x00\x00\x01\x05hello",
	"\x0b\x00\x04\x00\x00\x00\x00\x05hello\x0b\x00\x25\x01t",
	"\x0b\x01\x04\x01x\x0b\x02\x0c\x00\x0d\x00\x02\x00\x04data",
	"\x03\x00\x00\x04\x00\x00\x00\x07\x03\x01\x00\x04\x00\x00\x00\x00",
	"\x07\x04\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00",
	"\x08\x04\x00\x04\x7f\xff\xff\xff\x08\x00\x00\x04\x00\x00\x00\x01",
	"\x06\x04\x00\x08pingpong\x04\x04\x00\x06\x00\x04\x00\x00\x00\x01",
	"\x05\x00\x04\x05\x00\x00\x00\x02\x82\x09\x00\x04\x01\x88",
	"\x01\x00\x00\x01\x88\x09\x00\x04\x00\x0e",
	"\x0a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01",
}

// fuzzStreams are what frames can be on.
var fuzzStreams = []uint32{1, 3, 5, 7, 0, 2, 9, 1<<31 - 1}

// fuzzFrames makes frames of data. An op below 10 is a frame of that type, with a stream, flags, and a payload; 10 is bytes
// as they are; 11 is a head, whose first byte says which status; 13 lets the client catch up; 14 closes the connection.
func fuzzFrames(data []byte, write func([]byte), rest func()) {
	next := func() byte {
		if len(data) == 0 {
			return 0
		}
		b := data[0]
		data = data[1:]
		return b
	}
	take := func(n int) []byte {
		n = min(n, len(data))
		b := data[:n]
		data = data[n:]
		return b
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for len(data) > 0 {
		switch op := next() % 15; op {
		case 10:
			write(take(int(next())))
		case 11:
			stream, flags := fuzzStreams[next()%8], http2.Flags(next())
			block.Reset()
			if status := fuzzStatus[next()%byte(len(fuzzStatus))]; status != "" {
				encoder.WriteField(hpack.HeaderField{Name: ":status", Value: status})
			}
			encoder.WriteField(hpack.HeaderField{Name: "x-stream", Value: fmt.Sprint(stream)})
			encoder.WriteField(hpack.HeaderField{Name: "x-more", Value: strings.Repeat(string(next()), int(flags)*10)})
			write(frame(http2.FrameHeaders, flags&^(http2.FlagHeadersPadded|http2.FlagHeadersPriority), stream, block.Bytes()))
		case 13, 12:
			rest()
		case 14:
			return
		default:
			stream, flags := fuzzStreams[next()%8], http2.Flags(next())
			n := int(next())
			if n == 255 {
				n = 1 << 14
			}
			write(frame(http2.FrameType(op), flags, stream, take(n)))
		}
	}
}

var fuzzStatus = []string{"200", "204", "304", "404", "100", "103", "101", "", "0", "2000"}

// fuzzed is what became of a request.
type fuzzed struct {
	done chan struct{} // closed when the rest is set
	resp *http.Response
	body string
	err  error
}

// fuzzServer plays the frames of data to a Transport with requests under way.
func fuzzServer(t *testing.T, data []byte) {
	ln := httptestutil.NewListener(0)
	tr := &peerpool.Transport{DialContext: ln.Dial, Protocols: h2c(), MaxResponseHeaderBytes: 16 << 10}
	ctx, cancel := context.WithCancel(context.Background())
	calls := make([]*fuzzed, fuzzRequests)
	for i := range calls {
		var body io.Reader
		if i == fuzzRequests-1 {
			body = io.MultiReader(strings.NewReader(fuzzUpload)) // of unknown length
		}
		req, err := http.NewRequestWithContext(ctx, []string{"GET", "HEAD", "POST", "POST"}[i], "http://example.test/", body)
		if err != nil {
			t.Fatal(err)
		}
		a := &fuzzed{done: make(chan struct{})}
		calls[i] = a
		go func() {
			defer close(a.done)
			if a.resp, a.err = tr.RoundTrip(req); a.err != nil {
				return
			}
			defer a.resp.Body.Close()
			b, err := io.ReadAll(a.resp.Body)
			a.body, a.err = string(b), err
		}()
		synctest.Wait()
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // no request is answered on another connection
	go io.Copy(io.Discard, nc)
	var sent bytes.Buffer
	write := func(b []byte) { sent.Write(b); nc.Write(b) }
	write(frame(http2.FrameSettings, 0, 0, nil))
	fuzzFrames(data, write, synctest.Wait)
	synctest.Wait()
	nc.Close()
	for i, a := range calls {
		select {
		case <-a.done:
		case <-time.After(time.Hour):
			t.Errorf("request %d does not end", i)
			cancel()
			<-a.done
		}
	}
	cancel()
	tr.CloseIdleConnections()
	synctest.Wait()
	if st := tr.Stats(); st.Active+st.Idle != 0 {
		t.Errorf("connections are left: %+v", st)
	}
	checkAgainst(t, sent.Bytes(), calls)
}

// checkAgainst holds the responses against what was sent, as x/net's Framer reads it.
func checkAgainst(t *testing.T, sent []byte, calls []*fuzzed) {
	heads, datas := map[uint32][]string{}, map[uint32]string{}
	framer := http2.NewFramer(io.Discard, bytes.NewReader(sent))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := framer.ReadFrame()
		if _, ok := err.(http2.StreamError); ok {
			continue
		}
		if err != nil {
			break
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			heads[f.StreamID] = append(heads[f.StreamID], f.PseudoValue("status"))
		case *http2.DataFrame:
			datas[f.StreamID] += string(f.Data())
		}
	}
	for i, a := range calls {
		if a.resp == nil {
			continue
		}
		stream := uint32(2*i + 1)
		status := fmt.Sprint(a.resp.StatusCode)
		found := false
		for _, s := range heads[stream] {
			found = found || s == status
		}
		if !found {
			t.Errorf("request %d got %s, the server sent %q", i, status, heads[stream])
		}
		if !strings.HasPrefix(datas[stream], a.body) {
			t.Errorf("request %d got %.100q, the server sent %.100q", i, a.body, datas[stream])
		}
		if got := a.resp.Header.Get("X-Stream"); got != "" && got != fmt.Sprint(stream) {
			t.Errorf("request %d, on stream %d, got the fields of stream %s", i, stream, got)
		}
	}
}

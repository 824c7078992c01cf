//go:build !race

package http2_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"testing"

	"github.com/peerpool/peerpool/internal/testkit"

	"github.com/peerpool/peerpool"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// terseHTTP2 starts a server that answers each request on its one connection with the same response, and allocates
// nothing for that.
func terseHTTP2(t *testing.T, body string, fields ...hpack.HeaderField) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	var settings, answer, block bytes.Buffer
	http2.NewFramer(&settings, nil).WriteSettings()
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0) // so that the block is the same each time
	for _, f := range fields {
		encoder.WriteField(f)
	}
	framer := http2.NewFramer(&answer, nil)
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	data := answer.Len()
	framer.WriteData(1, true, []byte(body))
	go func() { // ends with the listener, or with the connection
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		r := bufio.NewReader(nc)
		r.Discard(len(http2.ClientPreface))
		nc.Write(settings.Bytes())
		b := answer.Bytes()
		for {
			head, err := r.Peek(9)
			if err != nil {
				return
			}
			size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
			if http2.FrameType(head[3]) == http2.FrameHeaders {
				stream := binary.BigEndian.Uint32(head[5:])
				binary.BigEndian.PutUint32(b[5:], stream)
				binary.BigEndian.PutUint32(b[data+5:], stream)
				nc.Write(b)
			}
			r.Discard(9 + size)
		}
	}()
	return "http://" + ln.Addr().String()
}

func TestARequestOverHTTP2AllocatesLittle(t *testing.T) {
	url := terseHTTP2(t, "hello", hpack.HeaderField{Name: ":status", Value: "200"},
		hpack.HeaderField{Name: "content-type", Value: "text/html"}, hpack.HeaderField{Name: "content-length", Value: "5"},
		hpack.HeaderField{Name: "date", Value: "today"}, hpack.HeaderField{Name: "x-a", Value: "b"})
	tr := &peerpool.Transport{Protocols: testkit.PriorKnowledge()}
	t.Cleanup(tr.CloseIdleConnections)
	req := testkit.NewRequest(t, http.MethodGet, url, nil)
	// A new block each time is the worst case: four values and a name are strings of their own.
	const values = 5
	if n := testing.AllocsPerRun(500, testkit.Getter(t, tr, req)); n > 5+values {
		t.Errorf("%v allocations, %d for the text", n, values)
	}
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/valyala/fasthttp"
)

var bodiesSuite = suite{
	name:        "bodies",
	about:       "1 GiB on one warm connection, or 256 MiB with HTTP/2",
	comparisons: bodyComparisons,
	work:        newBodyWorker,
}

// bodySpec is a transfer of Bytes in all, in as many messages as Size makes of them.
type bodySpec struct {
	To    string // toDiscard, toFile, toTCP; fromFile uploads
	Bytes int64
	Size  int64
	HTTP2 bool // over TLS; else HTTP/1.1 without TLS
}

const (
	toDiscard = "discard"
	toFile    = "file"
	toTCP     = "tcp"
	fromFile  = "upload"

	gib = 1 << 30
)

func bodyComparisons(short bool) []comparison {
	size, upload, http2 := int64(gib), int64(gib/4), int64(gib/4)
	if short {
		size, upload, http2 = 16<<20, 4<<20, 4<<20
	}
	all := []comparison{
		{
			name: "download to io.Discard", spec: bodySpec{To: toDiscard, Bytes: size, Size: size},
			targets: []target{{"gibcpu", netHTTP, 0.75}},
		},
		{name: "download to a file", spec: bodySpec{To: toFile, Bytes: size, Size: size}},
		{
			name: "download to a TCP connection", spec: bodySpec{To: toTCP, Bytes: size, Size: size},
			targets: []target{{"gibcpu", netHTTP, 0.45}},
		},
		{ // in four parts, as each candidate has the file in memory
			name: "upload from a file", spec: bodySpec{To: fromFile, Bytes: size, Size: upload},
			targets: []target{{"gibcpu", netHTTP, 0.95}},
		},
		{name: "HTTP/2, download to io.Discard", spec: bodySpec{To: toDiscard, Bytes: http2, Size: http2, HTTP2: true}},
		{name: "HTTP/2, upload from a file", spec: bodySpec{To: fromFile, Bytes: http2, Size: http2, HTTP2: true}},
	}
	// Half of the time would go to fasthttp's 4 KiB at a time, were it everywhere.
	few := []candidate{netHTTP, again, ours, bare}
	transports := []candidate{netHTTP, again, ours}
	for i, candidates := range [][]candidate{everyone, few, few, everyone, transports, transports} {
		all[i].candidates, all[i].baseline, all[i].twin = candidates, netHTTP, again
		all[i].metric, all[i].columns = "gibcpu", []string{"gibcpu", "gibwall", "gibbytes"}
		// One connection may cost twice what another does for as long as it lives, so that each round takes another.
		all[i].fresh = true
	}
	return all
}

// bodyWorker moves bodies to or from its end of them: a file, a connection, or nothing at all.
type bodyWorker struct {
	spec bodySpec
	move func(w *bodyWorker) error // one body
	at   endpoint
	file *os.File
	sink io.Writer

	protocol string // of the responses
}

func newBodyWorker(j job) (worker, error) {
	spec, err := specOf[bodySpec](j)
	if err != nil {
		return nil, err
	}
	w := &bodyWorker{spec: spec, at: j.Server, protocol: http1}
	err = w.openEnd()
	if err == nil {
		w.move, err = newMover(j.Candidate, w)
	}
	if err == nil {
		err = w.warm()
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *bodyWorker) openEnd() (err error) {
	switch w.spec.To {
	case toDiscard:
		w.sink = io.Discard
	case toTCP:
		w.sink, err = net.Dial("tcp", w.at.Sink)
	case toFile, fromFile:
		dir := scratchDir(6 * w.spec.Size)
		if w.file, err = os.CreateTemp(dir, "peerpool-bench-"); err != nil {
			return err
		}
		os.Remove(w.file.Name()) // it lives as long as it is open; where that does not work, Close removes it
		w.sink = w.file
		if w.spec.To == fromFile {
			return w.fill()
		}
	}
	return err
}

// fill makes the file that is uploaded.
func (w *bodyWorker) fill() error {
	if _, err := io.CopyN(w.file, zeros{}, w.spec.Size); err != nil {
		return err
	}
	_, err := w.file.Seek(0, io.SeekStart)
	return err
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Close removes the file.
func (w *bodyWorker) Close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	os.Remove(w.file.Name())
	return err
}

// warm moves a body before any is measured: a small one, where the size is free.
func (w *bodyWorker) warm() error {
	size := w.spec.Size
	if w.spec.To != fromFile {
		w.spec.Size = min(size, 16<<20)
	}
	err := w.rewind(w.move(w))
	w.spec.Size = size
	return err
}

// rewind makes the file what it was before a body was moved, after err.
func (w *bodyWorker) rewind(err error) error {
	if w.file == nil || err != nil {
		return err
	}
	if w.spec.To == toFile {
		if err := w.file.Truncate(0); err != nil {
			return err
		}
	}
	_, err = w.file.Seek(0, io.SeekStart)
	return err
}

func (w *bodyWorker) measure(order) (reading, error) {
	var total cost
	for moved := int64(0); moved < w.spec.Bytes; moved += w.spec.Size {
		before := usageNow()
		err := w.move(w)
		used := usageNow().since(before)
		if err := w.rewind(err); err != nil {
			return reading{}, err
		}
		total.measured = used.measured
		total.wall += used.wall
		total.user += used.user
		total.sys += used.sys
		total.bytes += used.bytes
	}
	share := float64(w.spec.Bytes) / gib
	s := sample{"gibwall": total.wall.Seconds() / share, "gibbytes": total.bytes / share}
	if total.measured {
		s["gibcpu"] = (total.user + total.sys).Seconds() / share
	}
	return reading{Values: s, Protocol: w.protocol}, nil
}

// path is what is asked for: a large answer, or a small one to an upload.
func (w *bodyWorker) path() string {
	if w.spec.To == fromFile {
		return fewFields
	}
	return largePrefix + strconv.FormatInt(w.spec.Size, 10)
}

func (w *bodyWorker) received(n int64, err error) error {
	if err == nil && n != w.spec.Size {
		err = fmt.Errorf("%d bytes of %d", n, w.spec.Size)
	}
	return err
}

func newMover(who candidate, w *bodyWorker) (func(*bodyWorker) error, error) {
	switch who {
	case bare:
		nc, err := net.Dial("tcp", w.at.Plain)
		if err != nil {
			return nil, err
		}
		return func(w *bodyWorker) error { return w.moveBare(nc) }, nil
	case fastHTTP:
		client := newFastHTTP(nil)
		client.StreamResponseBody = true
		return func(w *bodyWorker) error { return w.moveFast(client) }, nil
	}
	config, err := w.at.clientTLS()
	if err != nil {
		return nil, err
	}
	rt, err := newTransport(who, transportOptions{tls: config, http2: w.spec.HTTP2})
	if err != nil {
		return nil, err
	}
	return func(w *bodyWorker) error { return w.moveHTTP(rt) }, nil
}

func (w *bodyWorker) moveHTTP(rt http.RoundTripper) error {
	url := requestSpec{Path: w.path(), TLS: w.spec.HTTP2, HTTP2: w.spec.HTTP2}.url(w.at)
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if w.spec.To == fromFile {
		req.Method, req.Body, req.ContentLength = http.MethodPut, io.NopCloser(w.file), w.spec.Size
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	w.protocol = resp.Proto
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	if w.spec.To == fromFile {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	return w.received(io.Copy(w.sink, resp.Body))
}

func (w *bodyWorker) moveFast(client *fasthttp.Client) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + w.at.Plain + w.path())
	if w.spec.To == fromFile {
		req.Header.SetMethod(http.MethodPut)
		req.SetBodyStream(readOnly{w.file}, int(w.spec.Size))
	}
	if err := client.Do(req, resp); err != nil {
		return err
	}
	if resp.StatusCode() != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode())
	}
	if w.spec.To == fromFile {
		return resp.BodyWriteTo(io.Discard)
	}
	return w.received(int64(resp.Header.ContentLength()), resp.BodyWriteTo(w.sink))
}

// readOnly hides the file's Close, which fasthttp would call.
type readOnly struct{ io.Reader }

// moveBare reads and writes with one buffer of 128 KiB and no help of the kernel's.
func (w *bodyWorker) moveBare(nc net.Conn) error {
	buf := make([]byte, 128<<10)
	if w.spec.To == fromFile {
		if _, err := fmt.Fprintf(nc, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", w.path(), w.at.Plain, w.spec.Size); err != nil {
			return err
		}
		n, err := io.CopyBuffer(writeOnly{nc}, readOnly{w.file}, buf)
		if err := w.received(n, err); err != nil {
			return err
		}
		_, err = io.ReadFull(nc, buf[:len(answers[fewFields])])
		return err
	}
	if _, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", w.path(), w.at.Plain); err != nil {
		return err
	}
	head := largeHead(w.spec.Size)
	if _, err := io.ReadFull(nc, buf[:len(head)]); err != nil {
		return err
	}
	if !bytes.Equal(buf[:len(head)], []byte(head)) {
		return errors.New("an answer that was not expected")
	}
	return w.received(io.CopyBuffer(writeOnly{w.sink}, io.LimitReader(nc, w.spec.Size), buf))
}

// writeOnly hides what io.Copy would use in place of its buffer.
type writeOnly struct{ io.Writer }

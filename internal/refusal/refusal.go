// Package refusal returns the error that net/http would return for a malformed response.
//
// This module decides itself what it refuses to read. But programs compare the text and the type of the error with
// those of net/http. So this package asks net/http what it says about the same bytes. It does so only if a request has
// already failed.
package refusal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
)

const (
	// maxHead limits the bytes that net/http is asked about. Parsing takes several times as much memory.
	maxHead = 64 << 10
	// maxText limits the text of an error that quotes what the peer sent, in bytes.
	maxText = 256
)

// Of returns the error that net/http returns for a response that begins with received. end is the error that a further
// read returned; nil means that more bytes may follow. Of returns ours if net/http refuses nothing in received, or if
// received is too long. req is the request that was answered. Of cuts off a long text.
func Of(received []byte, end error, req *http.Request, ours error) error {
	if len(received) > maxHead {
		return ours
	}
	stop := end
	if stop == nil {
		stop = errMore
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(received), ended{stop})), req)
	switch {
	case err == nil:
		resp.Body.Close()
		return ours
	case errors.Is(err, errMore): // net/http would read on
		return ours
	}
	return shortened(err)
}

// OfFields returns the error that net/http returns for a trailer section, or ours if net/http does not refuse the
// section.
func OfFields(section []byte, ours error) error {
	if _, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(section))).ReadMIMEHeader(); err != nil {
		return shortened(err)
	}
	return ours
}

var errMore = errors.New("there may be more")

// ended is a reader that always fails.
type ended struct{ err error }

func (e ended) Read([]byte) (int, error) { return 0, e.err }

// shortened cuts off the text of an error that quotes a peer. An error that wraps another one does not quote a peer.
func shortened(err error) error {
	text := err.Error()
	if len(text) <= maxText || errors.Unwrap(err) != nil {
		return err
	}
	if _, ok := err.(textproto.ProtocolError); ok {
		return textproto.ProtocolError(text[:maxText])
	}
	return errors.New(text[:maxText])
}

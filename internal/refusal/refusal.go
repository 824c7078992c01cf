// Package refusal puts the refusal of a malformed response into net/http's words.
//
// What this module refuses to read, it decides itself. The error is another matter: programs compare its text and its type with
// those of net/http. So net/http is asked what it says about the same bytes. This happens only when a request has failed already.
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
	// maxHead bounds the bytes that net/http is asked about. Parsing costs a multiple of them in memory.
	maxHead = 64 << 10
	// maxText bounds the text of an error that quotes what the peer sent, in bytes.
	maxText = 256
)

// Of returns the error that net/http returns for a response that begins with received. end is what reading more of it
// returned; nil means that there may be more. Of returns ours if net/http refuses none of that, or if there is too much of
// it. req is the request that was answered. A long text is cut off.
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

// OfFields returns the error that net/http returns for a trailer section, or ours if it refuses nothing.
func OfFields(section []byte, ours error) error {
	if _, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(section))).ReadMIMEHeader(); err != nil {
		return shortened(err)
	}
	return ours
}

var errMore = errors.New("there may be more")

// ended is a reader that only fails.
type ended struct{ err error }

func (e ended) Read([]byte) (int, error) { return 0, e.err }

// shortened cuts the text of an error that quotes a peer off. Errors that wrap others do not quote any.
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

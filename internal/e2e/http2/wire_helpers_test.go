package http2_test

import (
	"io"

	"github.com/peerpool/peerpool/internal/testkit"
)

// pipedBody is a request body that the test writes to, and that is closed as a pipe is: whoever reads it wakes up.
type pipedBody struct {
	*testkit.TrackedBody
	r *io.PipeReader
}

func pipeBody() (*pipedBody, *io.PipeWriter) {
	r, w := io.Pipe()
	return &pipedBody{testkit.TrackBody(r), r}, w
}

func (b *pipedBody) Close() error {
	b.r.Close()
	return b.TrackedBody.Close()
}

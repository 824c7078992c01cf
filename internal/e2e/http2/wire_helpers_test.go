package http2_test

import (
	"io"

	"github.com/peerpool/peerpool/internal/testkit"
)

// pipedBody is a request body that the test writes to. Its Close wakes up a Read that is under way, as that of a pipe does.
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

//go:build !go1.27

package http2

import "io"

// noBody is the body of a response that has none. As with net/http before Go 1.27, it differs from [http.NoBody].
var noBody io.ReadCloser = nothing{}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (nothing) Close() error             { return nil }

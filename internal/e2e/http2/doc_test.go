// Package http2_test tests the Transport over HTTP/2 against servers that are scripted frame by frame, and
// against real ones.
package http2_test

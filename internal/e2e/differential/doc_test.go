// Package differential_test runs random scripts of a server's frames, and of what a client does, against this
// package's HTTP/2 and two others.
package differential_test

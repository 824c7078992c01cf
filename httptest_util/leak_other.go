//go:build !linux

package httptestutil

// openSockets returns nothing: the sockets of the process cannot be listed
// here.
func openSockets() map[string]string { return nil }

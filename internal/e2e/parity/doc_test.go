// Package parity_test compares the Transport with that of net/http: the same program, with either of them, must
// see the same.
package parity_test

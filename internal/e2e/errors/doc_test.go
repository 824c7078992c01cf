// Package errors_test compares the errors of the Transport with those of net/http, for some hundred failures, at
// every level.
package errors_test

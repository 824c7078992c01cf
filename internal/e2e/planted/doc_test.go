// Package planted_test tests that no request is answered with bytes that the server sent before it was asked,
// whatever the layers of a connection.
package planted_test

// Package upload_test tests that the caller may use the body of a request again when the request is over, and that the
// Transport sends an unchanged body again.
package upload_test

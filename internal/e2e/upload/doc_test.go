// Package upload_test tests that the body of a request is its caller's again when the request is over, and is
// sent again as it was.
package upload_test

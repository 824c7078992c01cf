// Package reuse_test tests when a connection is used again, and which limits end it.
package reuse_test

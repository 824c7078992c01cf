// Package servers_test holds the Transport against real servers and proxies. A test whose server is not
// installed skips.
package servers_test

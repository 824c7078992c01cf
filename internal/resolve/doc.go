// Package resolve turns a host name into addresses and addresses into a connection.
//
//	answer.go  Resolver and Answer; what is taken from a resolver and in which form
//	cache.go   Cache: answers by host, kept for a while, in a limited number
//	flight.go  the look-ups under way: one for each host, independent of the caller that asked first
//	order.go   Order: the address families in turns (RFC 8305 section 4)
//	race.go    Race: connection attempts, staggered; the first to succeed wins (RFC 8305 section 5)
package resolve

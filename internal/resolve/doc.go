// Package resolve turns a host name into addresses and addresses into a connection.
//
//	answer.go  Resolver and Answer; what is taken from a resolver and in which form
//	cache.go   Cache: answers by host, kept for a while, bounded
//	flight.go  the look-ups under way: one per host, detached from whoever asked first
//	order.go   Order: the families interleaved (RFC 8305 section 4)
//	race.go    Race: connection attempts, staggered, the first to succeed wins (RFC 8305 section 5)
package resolve

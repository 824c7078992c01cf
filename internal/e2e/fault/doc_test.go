// Package fault_test tests what becomes of requests when something goes wrong: connections that break or are
// stale, cancellations, bodies that fail.
package fault_test

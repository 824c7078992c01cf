// Package fault_test tests how requests end when something goes wrong: connections break or are stale, callers cancel,
// bodies fail.
package fault_test

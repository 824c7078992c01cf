// Package cost_test asserts what a request and an idle connection cost: allocations, goroutines, bytes. Its
// benchmarks measure time.
package cost_test

// Command conformance runs the Go toolchain's own tests of net/http's client against peerpool. It needs a Go
// toolchain and this module, and is run inside the module:
//
//	go run ./conformance [-run regexp] [-v] [-json] [-timeout d] [-count n]
//
// The tests are those of net/http and of httputil.ReverseProxy that come to use an http.Transport. Their sources are
// read from GOROOT, rewritten to use peerpool.Transport, built and run in a temporary folder, one process for each
// test, and nothing of them stays. It prints every test that failed, with its first lines, every one that was left
// out, with the reason, and sums up:
//
//	passed X of Y, failed F (of which D documented in docs/differences.md), left out L
//
// What counts is a test without tests below it. One that fails is run once more alone, and is called flaky if it
// passes then, and counted as passed.
//
// The exit code is 0 if nothing fails but what docs/differences.md says must, and all of that does; 1 if not; 2 if
// the tests could not be run.
//
// # How
//
// Each suite goes the same way, in the order of the files:
//
//   - suite.go reads the files and type-checks them as they are.
//   - graph.go finds the tests that come to use a Transport, in any number of steps.
//   - rewrite.go replaces http.Transport, and whatever else package standin has a stand-in for, going by what a name
//     means and not by how it is written. Rules.go has the few cases where a test must read differently, what is
//     left out, and what is expected to fail.
//   - build.go has the go command see the result in this module, with an overlay, and net/http with the file by
//     which it opens its inside to its own tests: their servers are the real thing. Packages that only the standard
//     library may import are reached over bridges (bridge.go). Functions that do not compile are cut out, and the
//     tests that need them left out.
//   - run.go runs, report.go sums up.
//
// The tables are for Go 1.26. With another version a test that does not compile is left out and named, and a rule
// that nothing comes under is no mistake.
package main

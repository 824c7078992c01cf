// Command conformance runs the Go toolchain's own tests of net/http's client against peerpool. It needs a Go
// toolchain and this module. Run it inside the module:
//
//	go run ./conformance [-run regexp] [-v] [-json] [-timeout d] [-count n]
//
// It runs the tests of net/http and of httputil.ReverseProxy that use an http.Transport. It reads their sources from
// GOROOT, rewrites them to use peerpool.Transport, and builds and runs them in a temporary folder, which it removes at
// the end. Each test runs in a process of its own. The command prints every test that failed, with the first lines of
// its output, and every test that was left out, with the reason. The last line sums up:
//
//	passed X of Y, failed F (of which D documented in docs/differences.md), left out L
//
// Only tests without subtests count. A test that fails is run once more, alone. If it passes then, it is called flaky,
// and counts as passed.
//
// The exit code is 0 if exactly those tests fail that must fail according to docs/differences.md. It is 1 if another
// test fails, or if one of those passes. It is 2 if the tests could not be run.
//
// # How
//
// Each suite goes through the files in this order:
//
//   - suite.go reads the source files and type-checks them as they are.
//   - graph.go finds the tests that use a Transport, directly or indirectly.
//   - rewrite.go replaces http.Transport, and everything else for which package standin has a stand-in. It goes by what
//     a name means, not by how it is written. rules.go has the few cases in which a test must read differently, the
//     tests that are left out, and the tests that are expected to fail.
//   - build.go uses an overlay to show the result to the go command inside this module. The overlay also shows net/http
//     with the file that gives its tests access to its internals, because the servers of the tests are those of net/http.
//     The tests reach packages that only the standard library may import over bridges (bridge.go). Functions that do
//     not compile are cut out, and the tests that need them are left out.
//   - run.go runs the tests, and report.go sums up.
//
// The tables are for Go 1.26. With another version, the command leaves out and names a test that does not compile, and
// a rule that applies to no test is not a mistake.
package main

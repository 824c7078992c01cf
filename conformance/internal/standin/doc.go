// Package standin is what the toolchain's tests of net/http meet in the place of its Transport, when the
// conformance program runs them.
//
// A name that this package shares with net/http, or with the file in which net/http opens its inside to its
// own tests, takes that name's place in the tests: [Transport] for http.Transport, [SetPendingDialHooks] for
// the function that plants a hook in http.Transport, and so on. Methods that the tests call on a Transport are
// methods here. Where net/http's tests look into its Transport, those here answer from what peerpool shows to
// everybody: Stats, Observer, and the dialer of a test server's client.
//
// An inside that is not imitated is absent, so that a test that needs it does not compile and is left out.
package standin

package main

// This file holds the decisions of this program: which tests are left out, which are adapted, and which failures are
// expected. Package standin decides what the stand-ins cover.

// rule gives the reason for something that happens to one test.
type rule struct{ test, why string }

// leftOut holds the tests that can run only in net/http.
var leftOut = []rule{
	{"TestTransportCloseIdleConnsThenReturn", "puts made-up connections into net/http's private idle pool"},
	{"TestTransportTraceGotConnH2IdleConns", "puts made-up connections into net/http's private idle pool"},
	{"TestTransportProxyHTTPSConnectLeak", "replaces the clock of net/http's CONNECT through a private hook"},
	{"TestLinuxSendfile", "tests a server, by running the test binary under strace"},
}

// leftOutModes holds the subtests, of any test, that are left out.
var leftOutModes = []rule{
	{"h3", "peerpool does not speak HTTP/3"},
}

// expected holds the leaf tests that must fail, with the words of docs/differences.md that say so.
var expected = []rule{
	{"TestInvalidHeaderResponse/h1", "a space in a field's name, or before its colon"},
}

// adaptation replaces an object by a stand-in. The stand-in of a field is a function that takes the value and returns the
// field. That of a method is a function that takes the value and does what the method does.
type adaptation struct {
	in     string // function in which the object is replaced; "" means everywhere
	object string // name that objectName returns
	by     string // name in package standin
	why    string
}

var adaptations = []adaptation{
	{"", "net/http/httptest.Server.Client", "ServerClient",
		"the client of a test server comes with an http.Transport"},
	{"testTransportAutoHTTP", "net/http.Transport.TLSNextProto", "NextProtos",
		"whether HTTP/2 is on is asked of the wire, not of what net/http enters there"},
	{"TestTransportClone", "go/token.IsExported", "IsStandardField",
		"the test knows how to fill in net/http's fields only"},
	{"testClientTimeout", "strings.Contains", "ContainsTimeout",
		"http.Client words its timeout otherwise for a RoundTripper that is not its own"},
	{"testClientTimeout_Headers", "strings.Contains", "ContainsTimeout",
		"http.Client words its timeout otherwise for a RoundTripper that is not its own"},
	{"TestTransportReqCancelerCleanupOnRequestBodyWriteError", "net/http.SetReadLoopBeforeNextReadHook", "CallAtOnce",
		"the test waits for a goroutine that is not there"},
}

// privateErrors holds errors that only net/http can return. A comparison with one of them becomes a comparison of texts.
var privateErrors = []string{"net/http.ExportErrRequestCanceled", "net/http.ExportErrRequestCanceledConn"}

// clientSide holds the objects through which a test uses a Transport. A test that reaches none of them does not test a
// client.
var clientSide = []string{
	"net/http.Transport", "net/http.DefaultTransport", "net/http.DefaultClient",
	"net/http.Get", "net/http.Head", "net/http.Post", "net/http.PostForm",
	"net/http/httptest.Server.Client",
	modulePath + "/conformance/internal/stdlib/net/http/httputil.ReverseProxy",
	modulePath + "/conformance/internal/stdlib/net/http/httputil.NewSingleHostReverseProxy",
}

// bystanders holds helpers that every test uses, whatever it tests.
var bystanders = []string{"TestMain", "afterTest"}

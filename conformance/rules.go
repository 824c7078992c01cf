package main

// This file is the judgment in this program: what is left out, what is adapted, and which failures are meant. What
// the stand-ins cover is in package standin.

// rule is a reason for something that happens to one test.
type rule struct{ test, why string }

// leftOut are tests that run nowhere but in net/http.
var leftOut = []rule{
	{"TestTransportCloseIdleConnsThenReturn", "puts made-up connections into net/http's private idle pool"},
	{"TestTransportTraceGotConnH2IdleConns", "puts made-up connections into net/http's private idle pool"},
	{"TestTransportProxyHTTPSConnectLeak", "replaces the clock of net/http's CONNECT through a private hook"},
	{"TestLinuxSendfile", "tests a server, by running the test binary under strace"},
}

// leftOutModes are the subtests, of whatever test, that are left out.
var leftOutModes = []rule{
	{"h3", "peerpool does not speak HTTP/3"},
}

// expected are the leaf tests that must fail, with the words of docs/differences.md that say so.
var expected = []rule{
	{"TestInvalidHeaderResponse/h1", "a space in a field's name, or before its colon"},
}

// adaptation replaces an object by a stand-in. A field or a method of a value becomes a function of that value, which
// returns the field, or a function that does what the method does.
type adaptation struct {
	in     string // function; "": everywhere
	object string // as objectName writes it
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

// privateErrors are values that only net/http can return. A comparison with one becomes a comparison of texts.
var privateErrors = []string{"net/http.ExportErrRequestCanceled", "net/http.ExportErrRequestCanceledConn"}

// clientSide are the objects through which a test comes to use a Transport. One that reaches none is not about a client.
var clientSide = []string{
	"net/http.Transport", "net/http.DefaultTransport", "net/http.DefaultClient",
	"net/http.Get", "net/http.Head", "net/http.Post", "net/http.PostForm",
	"net/http/httptest.Server.Client",
	modulePath + "/conformance/internal/stdlib/net/http/httputil.ReverseProxy",
	modulePath + "/conformance/internal/stdlib/net/http/httputil.NewSingleHostReverseProxy",
}

// bystanders are helpers of every test, whatever it is about.
var bystanders = []string{"TestMain", "afterTest"}

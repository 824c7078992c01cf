package main

import (
	"strings"
	"testing"
)

func TestTheTypeIsReplacedAndAFieldOfThatNameIsNot(t *testing.T) {
	got, _ := rewritten(t, `package http_test
import . "net/http"
var c = &Client{Transport: &Transport{}}
var t = c.Transport.(*Transport)
`)
	wantIn(t, got, `&Client{Transport: &standin.Transport{}}`, `c.Transport.(*standin.Transport)`, `import . "net/http"`)
	wantIn(t, got, `package http_test; import "`+standinPath+`"`)
}

func TestAQualifiedNameIsReplacedWithItsPackage(t *testing.T) {
	got, _ := rewritten(t, `package http_test
import web "net/http"
var c = web.Client{Transport: new(web.Transport)}
func f() { web.SetPendingDialHooks(nil, nil) }
`)
	wantIn(t, got, `web.Client{Transport: new(standin.Transport)}`, `standin.SetPendingDialHooks(nil, nil)`)
}

func TestALocalNameIsLeftAlone(t *testing.T) {
	text := `package http_test
import "net/http"
type Transport struct{}
var c = http.Client{Transport: Transport{}}
`
	if got, _ := rewritten(t, text); got != text {
		t.Errorf("rewritten:\n%s", got)
	}
}

func TestAMethodOfAValueBecomesAFunctionOfIt(t *testing.T) {
	got, _ := rewritten(t, `package http_test
import "net/http/httptest"
func f(ts func(*httptest.Server) *httptest.Server) { ts(nil).Client().Get(ts(nil).URL) }
`)
	wantIn(t, got, `{ standin.ServerClient(ts(nil))().Get(ts(nil).URL) }`)
}

func TestAnAdaptationHoldsInItsFunctionOnly(t *testing.T) {
	got, _ := rewritten(t, `package http_test
import ("net/http"; "strings")
func testTransportAutoHTTP(tr *http.Transport) bool { return tr.TLSNextProto["h2"] != 0 }
func another(tr *http.Transport) bool { return tr.TLSNextProto["h2"] != 0 }
func testClientTimeout() bool { return strings.Contains("a", "b") }
func testAnother() bool { return strings.Contains("a", "b") }
`)
	wantIn(t, got,
		`return standin.NextProtos(tr)["h2"] != 0`, `return tr.TLSNextProto["h2"] != 0`,
		`return standin.ContainsTimeout("a", "b")`, `return strings.Contains("a", "b")`)
}

func TestAComparisonWithAPrivateErrorComparesTexts(t *testing.T) {
	got, _ := rewritten(t, `package http_test
import ("errors"; . "net/http")
func f(err error) bool {
	return err != ExportErrRequestCanceled || ExportErrRequestCanceled == err || err != nil ||
		errors.Is(err, ExportErrRequestCanceled) || errors.Is(err, nil)
}
`)
	wantIn(t, got,
		`!standin.SameError(err , ExportErrRequestCanceled) ||`, `standin.SameError(ExportErrRequestCanceled , err) ||`,
		`err != nil`, `standin.ErrorIs(err, ExportErrRequestCanceled)`, `errors.Is(err, nil)`)
}

func TestAnImportThatNothingUsesAnyMoreGoes(t *testing.T) {
	got, _ := rewritten(t, `package http_test
import (
	"errors"
	"net/http"
)
func f(err error, t *http.Transport) bool { return g(err) }
func g(err error) bool { return errors.Is(err, nil) }
`, "g")
	wantIn(t, got, "import (\n\t_ \"unsafe\"\n\t_ \"unsafe\"\n)", "func f(err error, t *standin.Transport)")
}

func TestAnImportOfTheStandardLibrarysOwnGoesOverABridge(t *testing.T) {
	got, over := rewritten(t, `package http_test
import "net/http/internal"
var r internal.Reader
func f() { internal.Copy(); _ = internal.Limit; _ = internal.Enough }
`)
	wantIn(t, got, `import "net/http/peerpoolbridge/net_http_internal"`, "var r internal.Reader")
	bridge := string(bridgeSource("net/http/internal", over["net/http/internal"]))
	wantIn(t, bridge, "package internal\n", `import behind "net/http/internal"`, "type Reader = behind.Reader",
		"var Copy = behind.Copy", "const Limit = behind.Limit", "var Enough = behind.Enough")
	wantNotIn(t, bridge, "Unused")
}

func TestACutFunctionKeepsItsLines(t *testing.T) {
	text := `package http_test
import "net/http"
func f(t *http.Transport) int {
	t.Unknown()
	return 1
}
func after() {}
`
	got, _ := rewritten(t, text, "f")
	wantIn(t, got, "func f(t *standin.Transport) int { panic(")
	wantNotIn(t, got, "Unknown")
	if line := strings.Count(got[:strings.Index(got, "func after")], "\n"); line != 6 {
		t.Errorf("the next function is on line %d, want 7:\n%s", line+1, got)
	}
}

func TestAFunctionWithoutABodyGetsOne(t *testing.T) {
	got, _ := rewritten(t, "package http_test\nfunc elsewhere() int\n")
	wantIn(t, got, "func elsewhere() int { panic(")
}

func TestTheNameOfTheTestsPackageInALogIsItsNewOne(t *testing.T) {
	got, _ := rewritten(t, "package http_test\nconst want = \"called from net/http_test.testIt\"\n")
	wantIn(t, got, `"called from example.com/http_test.testIt"`)
}

func TestEditsApplyInPlace(t *testing.T) {
	got := apply([]byte("0123456789"), []edit{
		{8, 9, "I"}, {2, 4, "wide"}, {2, 3, "lost"}, {3, 3, "lost"}, {6, 6, "a"}, {6, 7, "X"}, {6, 6, "b"},
	})
	if want := "01wide45abX7I9"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

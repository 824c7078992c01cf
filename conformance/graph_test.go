package main

import (
	"go/types"
	"maps"
	"strings"
	"testing"
)

const clientTests = `package http_test
import (. "net/http"; "net/http/httptest"; "testing")
type fixture struct { tr *Transport }
func newFixture() *fixture { return nil }
func TestByFixture(t *testing.T) { newFixture() }
func TestByServer(t *testing.T) { new(httptest.Server).Client() }
func TestByClient(t *testing.T) { _ = Client{} }
func TestByFunction(t *testing.T) { Get("") }
func TestOfServer(t *testing.T) { _ = Server{}; afterTest() }
func TestOfClientAlone(t *testing.T) { _ = Client{Transport: nil} }
func afterTest() { _ = DefaultTransport }
func testHelper(t *testing.T) { Get("") }
func TestMain() {}
func TestKnown(t *testing.T) { newFixture().tr.Known() }
func TestUnknown(t *testing.T) { callsUnknown() }
func callsUnknown() { newFixture().tr.Unknown() }
func TestCloseIdle(t *testing.T) { Get("") }
func Testify(t *testing.T) { Get("") }
`

// chosen returns the plan that comes of clientTests.
func chosen(t *testing.T, broken map[string]string) *plan {
	t.Helper()
	setRules(t)
	s, standins := testSuite(t, clientTests)
	g := newGraph(s)
	why := g.lacking(standins.Scope().Lookup("Transport").(*types.TypeName))
	for name, reason := range broken {
		why[function(t, g, name)] = reason
	}
	p := &plan{suite: s}
	p.choose(g, why)
	return p
}

func TestOnlyTestsThatReachATransportAreRun(t *testing.T) {
	p := chosen(t, nil)
	got := strings.Join(p.tests, " ")
	if want := "TestByClient TestByFixture TestByFunction TestByServer TestCloseIdle TestKnown"; got != want {
		t.Errorf("runs %s\nwant %s", got, want)
	}
}

func TestATestThatNeedsAMissingMethodIsLeftOutByName(t *testing.T) {
	p := chosen(t, nil)
	if len(p.leftOut) != 1 || len(p.unasked) != 1 || p.unasked[0] != "TestUnknown" {
		t.Fatalf("left out %v, without a rule %v", p.leftOut, p.unasked)
	}
	wantIn(t, p.leftOut["TestUnknown"], "callsUnknown", "(*http.Transport).Unknown")
}

func TestATestWhoseHelperDoesNotCompileIsLeftOut(t *testing.T) {
	p := chosen(t, map[string]string{"newFixture": "does not compile: for a reason"})
	wantIn(t, p.leftOut["TestByFixture"], "newFixture: does not compile: for a reason")
	wantNotIn(t, strings.Join(p.tests, " "), "TestByFixture", "TestKnown")
	wantIn(t, strings.Join(p.tests, " "), "TestByServer")
}

func TestTheCompilersErrorsAreLaidToTheirFunctions(t *testing.T) {
	s, _ := testSuite(t, clientTests)
	g := newGraph(s)
	broken := make(map[*decl]string)
	err := &goError{output: "# a package\n/tmp/x/a_test.go:5:3: undefined: everything\na_test.go:16: too many arguments\nb_test.go:1:1: elsewhere\n"}
	if !g.blameAll(err, broken) {
		t.Fatal("nothing new")
	}
	got := make(map[string]string)
	for d, why := range broken {
		got[d.name] = why
	}
	want := map[string]string{
		"TestByFixture": "does not compile: undefined: everything",
		"callsUnknown":  "does not compile: too many arguments",
	}
	if !maps.Equal(got, want) {
		t.Errorf("broken: %v", got)
	}
	if g.blameAll(err, broken) {
		t.Error("the same errors are new again, which would build for ever")
	}
}

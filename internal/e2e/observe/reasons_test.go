package observe_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
)

// constantsOf returns the values of the string constants in a directory's files whose names begin with prefix.
func constantsOf(t *testing.T, file, prefix string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s has no constants %s...", file, prefix)
	}
	return values
}

// wantListed fails the test unless a list of reasons.go holds the values of the constants, each once.
func wantListed[S ~string](t *testing.T, list string, listed []S, constants []string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, l := range listed {
		if seen[string(l)] {
			t.Errorf("%s of reasons.go lists %q twice", list, l)
		}
		seen[string(l)] = true
		if !slices.Contains(constants, string(l)) {
			t.Errorf("%s of reasons.go lists %q, which is not a constant any more: remove it there", list, l)
		}
	}
	for _, c := range constants {
		if !seen[c] {
			t.Errorf("%q is a constant, and not in %s: add it there, in reasons.go", c, list)
		}
	}
}

func TestEveryReasonIsListed(t *testing.T) {
	wantListed(t, "missReasons", peerpool.MissReasons(), constantsOf(t, "../../../pool/reason.go", "Miss"))

	ends := constantsOf(t, "../../../internal/exchange/end.go", "End")
	ends = slices.DeleteFunc(ends, func(end string) bool { return end == "hijacked" || end == "unfit" }) // close nothing
	inHTTP2 := constantsOf(t, "../../../internal/http2/conn.go", "Reason")
	ours := constantsOf(t, "../../../reasons.go", "reason")
	wantListed(t, "closeReasons", peerpool.CloseReasons(), slices.Concat(ends, inHTTP2, ours, constantsOf(t, "../../../pool/reason.go", "Reason")))

	wantListed(t, "retryReasons", peerpool.RetryReasons(), constantsOf(t, "../../../retry.go", "retry"))
}

func TestAListOfReasonsIsTheCallers(t *testing.T) {
	peerpool.CloseReasons()[0] = "mine"
	if peerpool.CloseReasons()[0] == "mine" {
		t.Error("the list is shared")
	}
}

func TestRetriesByReasonHaveEveryReason(t *testing.T) {
	got := peerpool.Retries{Stale: 1, Unsent: 2, Misdirected: 3, Refused: 4, Lost: 5, HTTP1: 6, Address: 7, Saved: 8, Failed: 9}.ByReason()
	var sum uint64
	for _, reason := range peerpool.RetryReasons() {
		if got[reason] == 0 {
			t.Errorf("%q is not counted: give it a field of Retries, a line of ByReason and one of retried (stats.go)", reason)
		}
		sum += got[reason]
	}
	if len(got) != len(peerpool.RetryReasons()) || sum != 1+2+3+4+5+6+7 {
		t.Errorf("%v", got)
	}
}

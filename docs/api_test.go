package docs_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/peerpool/peerpool/internal/apilist"
)

// renewAPI is how to bring the list of the API up to date.
const renewAPI = "If the change is intended, run `go run ./api` in the root of the module and commit api/next.txt with it."

func TestTheListOfTheAPIIsTheAPI(t *testing.T) {
	now, err := apilist.List("..")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("../api/next.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Split(strings.TrimSuffix(string(file), "\n"), "\n")
	for _, line := range now {
		if !slices.Contains(listed, line) {
			t.Errorf("new: %s", line)
		}
	}
	for _, line := range listed {
		if !slices.Contains(now, line) {
			t.Errorf("gone: %s", line)
		}
	}
	if t.Failed() {
		t.Log("The exported API differs from api/next.txt. " + renewAPI)
	}
}

package docs_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
)

const settings = "docs/settings.md"

func TestTheTablesOfOptionsHaveEveryField(t *testing.T) {
	for name, options := range map[string]reflect.Type{
		"Transport":   reflect.TypeFor[peerpool.Transport](),
		"PeerOptions": reflect.TypeFor[peerpool.PeerOptions](),
	} {
		rows := optionsOf(t, name)
		for _, field := range reflect.VisibleFields(options) {
			if !field.IsExported() {
				continue
			}
			if rows[field.Name] == nil {
				t.Errorf("%s.%s has no row: add one to the tables in the section \"All options\" of %s, with its unit, its default, and when to change it",
					name, field.Name, settings)
			}
			delete(rows, field.Name)
		}
		for option := range rows {
			t.Errorf("%s has no field %s, which %s lists", name, option, settings)
		}
	}
}

// A default of New is in the tables if, and only if, New sets the field.
func TestTheTablesOfOptionsSayWhatNewSets(t *testing.T) {
	set := reflect.ValueOf(peerpool.New()).Elem()
	for option, row := range optionsOf(t, "Transport") {
		field := set.FieldByName(option)
		if !field.IsValid() {
			continue // another test says so
		}
		if said := strings.Contains(row[2], "`New`:"); said == field.IsZero() {
			t.Errorf("%s: the default %q does not say what New sets", option, row[2])
		}
	}
}

// optionsOf returns the rows of the tables of options of one type, by the name of the option.
func optionsOf(t *testing.T, name string) map[string][]string {
	t.Helper()
	text := documentAt(t, settings).text
	rows := make(map[string][]string)
	head := "\n| option of `" + name + "` | "
	for _, part := range strings.Split(text, head)[1:] {
		lines := strings.Split(part, "\n")
		end := slices.IndexFunc(lines[1:], func(line string) bool { return !strings.HasPrefix(line, "|") }) + 1
		for _, line := range lines[2:end] {
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			if len(cells) != 4 || slices.Contains(cells, "") {
				t.Errorf("%s: a row needs an option, a unit, a default, and when to change it: %s", settings, line)
				continue
			}
			for _, option := range names(cells[0]) {
				rows[option] = cells
			}
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table of the options of %s", settings, name)
	}
	return rows
}

package poolz

import (
	"strings"
	"unicode/utf8"
)

// part is a part of the name of an identity.
type part struct {
	Text    string
	Differs bool // other identities with the same address do not have it
}

// names knows how the identities of one address differ, so that the page can show that.
type names struct {
	families map[string]*family // by the first field of a name, the URL
}

// family is the identities of one address.
type family struct {
	members int
	fields  map[string]int // number of members that have a field, by its text
	values  map[string]*common
	ids     map[string]string // of the first identity with that name
	twins   map[string]bool   // names that several identities have
}

// common says what the values of a field have in common, in bytes.
type common struct {
	first          string
	prefix, suffix int
	several        bool
}

func newNames() *names { return &names{families: make(map[string]*family)} }

// add adds an identity. Adding it again has no effect.
func (n *names) add(name, id string) {
	fields := fieldsOf(name)
	f := n.families[fields[0]]
	if f == nil {
		f = &family{
			fields: make(map[string]int), values: make(map[string]*common),
			ids: make(map[string]string), twins: make(map[string]bool),
		}
		n.families[fields[0]] = f
	}
	if known, again := f.ids[name]; again {
		if known != id {
			f.twins[name] = true
		}
		return
	}
	f.ids[name] = id
	f.members++
	for _, field := range fields[1:] {
		f.fields[field]++
		key, value, _ := strings.Cut(field, "=")
		if c := f.values[key]; c != nil {
			c.add(value)
		} else {
			f.values[key] = &common{first: value, prefix: len(value), suffix: len(value)}
		}
	}
}

func (c *common) add(value string) {
	if value == c.first {
		return
	}
	c.several = true
	c.prefix = commonPrefix(c.first[:c.prefix], value)
	c.suffix = commonSuffix(c.first[len(c.first)-c.suffix:], value)
}

func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return n
}

func commonSuffix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	for n > 0 && !utf8.RuneStart(a[len(a)-n]) {
		n--
	}
	return n
}

// parts returns the parts of a name. Together they are the name, except for text that is shortened.
func (n *names) parts(name, id string) []part {
	fields := fieldsOf(name)
	f := n.families[fields[0]]
	parts := []part{{Text: fields[0]}}
	for _, field := range fields[1:] {
		if f == nil || f.fields[field] == f.members {
			parts = appendText(parts, " "+field, false)
			continue
		}
		key, value, found := strings.Cut(field, "=")
		if !found { // a field without a value, such as insecure
			parts = appendText(appendText(parts, " ", false), field, true)
			continue
		}
		prefix, suffix := f.values[key].around(value)
		parts = appendText(parts, " "+key+"="+shortened(value[:prefix]), false)
		parts = appendText(parts, value[prefix:len(value)-suffix], true)
		parts = appendText(parts, shortened(value[len(value)-suffix:]), false)
	}
	if f != nil && f.twins[name] {
		parts = appendText(parts, " ", false)
		parts = appendText(parts, "#"+id[:min(len(id), twinDigits)], true)
	}
	return parts
}

const (
	twinDigits   = 4  // of an id, to tell identities with the same name apart
	shortValue   = 24 // bytes; in a longer value only the part that differs stands out
	longCommon   = 40 // bytes; a longer beginning or end that values have in common is shortened
	shownOfParts = 12 // bytes that stay at both of its ends
)

// around returns the lengths of the beginning and of the end that a long value has in common with other values. For a
// short value, it returns zeros.
func (c *common) around(value string) (prefix, suffix int) {
	if !c.several || len(value) <= shortValue {
		return 0, 0
	}
	prefix = c.prefix
	suffix = min(c.suffix, len(value)-prefix)
	if prefix+suffix == len(value) { // another value contains this one
		return 0, 0
	}
	return prefix, suffix
}

// shortened returns text that values have in common. It leaves out the middle of a long text.
func shortened(text string) string {
	if len(text) <= longCommon {
		return text
	}
	head, tail := shownOfParts, len(text)-shownOfParts
	for !utf8.RuneStart(text[head]) {
		head--
	}
	for !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + "…" + text[tail:]
}

func appendText(parts []part, text string, differs bool) []part {
	if last := &parts[len(parts)-1]; last.Differs == differs {
		last.Text += text
		return parts
	}
	if text == "" {
		return parts
	}
	return append(parts, part{text, differs})
}

// fieldsOf splits a name at its spaces, except at those in quoted values. It returns at least one field.
func fieldsOf(name string) []string {
	var fields []string
	quoted, from := false, 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			fields = append(fields, name[from:i])
			from = i + 1
		}
	}
	return append(fields, name[from:])
}

package poolz

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// marked writes the parts of a name, with those that differ in brackets.
func marked(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Differs {
			b.WriteString("[" + p.Text + "]")
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

func TestWhatTellsIdentitiesApartStandsOut(t *testing.T) {
	long := strings.Repeat("long-", 12)
	for _, c := range []struct{ names, want []string }{
		{[]string{"http://h:80 group=a"}, []string{"http://h:80 group=a"}},
		{[]string{"http://h:80 group=a", "http://i:80 group=b"}, []string{"http://h:80 group=a", "http://i:80 group=b"}},
		{[]string{"http://h:80 group=a", "http://h:80 group=b"}, []string{"http://h:80 group=[a]", "http://h:80 group=[b]"}},
		{[]string{"https://h:443 sni=s", "https://h:443 sni=s group=b"}, []string{"https://h:443 sni=s", "https://h:443 sni=s group=[b]"}},
		{[]string{"https://h:443 sni=s", "https://h:443 sni=s insecure"}, []string{"https://h:443 sni=s", "https://h:443 sni=s [insecure]"}},
		{[]string{`http://h:80 group="a b"`, `http://h:80 group="a \" c"`}, []string{`http://h:80 group=["a b"]`, `http://h:80 group=["a \" c"]`}},
		{
			[]string{"http://h:80 group=eu-west-production-tenant-0001-blue", "http://h:80 group=eu-west-production-tenant-0002-blue"},
			[]string{"http://h:80 group=eu-west-production-tenant-000[1]-blue", "http://h:80 group=eu-west-production-tenant-000[2]-blue"},
		},
		{
			[]string{"http://h:80 group=" + long + "1", "http://h:80 group=" + long + "2"},
			[]string{"http://h:80 group=long-long-lo…g-long-long-[1]", "http://h:80 group=long-long-lo…g-long-long-[2]"},
		},
		{
			[]string{"http://h:80 group=" + long, "http://h:80 group=" + long + long},
			[]string{"http://h:80 group=[" + long + "]", "http://h:80 group=[" + long + long + "]"},
		},
	} {
		n := newNames()
		for i, name := range c.names {
			n.add(name, fmt.Sprint(i))
			n.add(name, fmt.Sprint(i)) // events name identities again
		}
		for i, name := range c.names {
			if got := marked(n.parts(name, fmt.Sprint(i))); got != c.want[i] {
				t.Errorf("%s is shown as %s, want %s", name, got, c.want[i])
			}
		}
	}
}

func TestIdentitiesWithTheSameNameAreNumbered(t *testing.T) {
	n := newNames()
	n.add("https://h:443", "0123456789abcdef")
	n.add("https://h:443", "fedcba9876543210")
	if got := marked(n.parts("https://h:443", "fedcba9876543210")); got != "https://h:443 [#fedc]" {
		t.Errorf("one of two identities with the same name is shown as %s", got)
	}
}

func FuzzTheDifferingPartsOfANameAreWholeAndValid(f *testing.F) {
	f.Add("a", "b")
	f.Add("tenant-äöü-äöü-äöü-äöü-äöü-1", "tenant-äöü-äöü-äöü-äöü-äöö-1")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			return
		}
		n := newNames()
		n.add("http://h:80 group="+a, "1")
		n.add("http://h:80 group="+b, "2")
		first, second := marked(n.parts("http://h:80 group="+a, "1")), marked(n.parts("http://h:80 group="+b, "2"))
		if a != b && first == second {
			t.Errorf("%q and %q are both shown as %q", a, b, first)
		}
		if !utf8.ValidString(first) {
			t.Errorf("%q is not UTF-8", first)
		}
	})
}

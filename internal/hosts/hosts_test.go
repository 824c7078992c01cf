package hosts

import (
	"fmt"
	"sync"
	"testing"
)

func TestAServerHasOneNameHoweverItIsWritten(t *testing.T) {
	for _, c := range []struct {
		scheme, host string
		want         Name
	}{
		{"http", "example.com", Name{"example.com", 80}},
		{"https", "example.com", Name{"example.com", 443}},
		{"http", "EXAMPLE.com:8080", Name{"example.com", 8080}},
		{"https", "example.com.", Name{"example.com", 443}},
		{"http", "[::1]", Name{"::1", 80}},
		{"http", "[::1]:81", Name{"::1", 81}},
		{"http", "example.com:http", Name{"example.com", 80}},
		{"http", "example.com:", Name{"example.com", 80}},
	} {
		if got := Parse(c.scheme, c.host); got != c.want {
			t.Errorf("%s://%s: %v, want %v", c.scheme, c.host, got, c.want)
		}
	}
}

func names(limit int) *Table[Name] { return New(limit, func(n Name) Name { return n }) }

func TestServersBeyondTheLimitAreOneOther(t *testing.T) {
	table := names(2)
	for i := range 100 {
		want := Name{Addr: Other}
		if i < 2 {
			want = Name{fmt.Sprintf("%d.test", i), 80}
		}
		for _, host := range []string{fmt.Sprintf("%d.test", i), fmt.Sprintf("%d.TEST:80", i), fmt.Sprintf("%d.Test", i)} {
			if got := table.Of("http", host); got != want {
				t.Errorf("%s: %v, want %v", host, got, want)
			}
		}
	}
	if n := len(*table.spelled.Load()); n > 4 {
		t.Errorf("%d spellings are remembered", n)
	}
	var all []Name
	table.Each(func(n Name) { all = append(all, n) })
	if len(all) != 3 {
		t.Errorf("%v", all)
	}
}

func TestATableWithoutALimitTellsNoneApart(t *testing.T) {
	table := names(0)
	if got := table.Of("http", "a.test"); got != (Name{}) {
		t.Errorf("%v", got)
	}
	var all []Name
	table.Each(func(n Name) { all = append(all, n) })
	if len(all) != 1 {
		t.Errorf("%v", all)
	}
}

func TestATableIsSafeForConcurrentUse(t *testing.T) {
	table := New(3, func(n Name) *Name { return &n })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				host := fmt.Sprintf("%d.test", i%6)
				if v := table.Of("http", host); v.Addr != host && v.Addr != Other {
					t.Errorf("%s is %v", host, v)
				}
				if i%50 == 0 {
					table.Each(func(*Name) {})
				}
			}
		})
	}
	wg.Wait()
	made := map[*Name]bool{}
	for i := range 6 {
		made[table.Of("http", fmt.Sprintf("%d.test", i))] = true
	}
	if len(made) != 4 {
		t.Errorf("%d values for 3 servers and the others", len(made))
	}
}

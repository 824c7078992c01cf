// Package hosts tells servers apart for metrics, and no more of them than asked for: what a server is called comes
// from requests, of which a program may send to any number of hosts, and a metric must not grow with them.
package hosts

import (
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/peerpool/peerpool/internal/ascii"
)

// Other is the Addr that stands for all servers beyond those that a [Table] tells apart.
const Other = "other"

// Name is what a server is called: its host in lower case, and its port. The zero Name stands for every server of
// a Table that tells none apart.
type Name struct {
	Addr string
	Port int // 0 for Other
}

// Parse returns the name of the server that a URL's host and scheme mean. A port that is no number is the scheme's.
func Parse(scheme, host string) Name {
	name := Name{Addr: host, Port: 80}
	if scheme == "https" {
		name.Port = 443
	}
	if addr, port, err := net.SplitHostPort(host); err == nil {
		name.Addr = addr
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			name.Port = int(n)
		}
	}
	name.Addr = ascii.ToLower(strings.TrimSuffix(strings.Trim(name.Addr, "[]"), "."))
	name.Addr = strings.ToValidUTF8(name.Addr, "\uFFFD") // the value of a label is text
	return name
}

// String returns host:port, or the host where there is no port.
func (n Name) String() string {
	if n.Port == 0 {
		return n.Addr
	}
	return net.JoinHostPort(n.Addr, strconv.Itoa(n.Port))
}

// Table holds a value for each of the first servers that it is asked for, and one for all others. It is safe for
// concurrent use.
type Table[V any] struct {
	limit int
	make  func(Name) V
	other V // or the only one

	// spelled is a shortcut that takes no lock: the map is replaced, never written to. It is bounded as well.
	spelled atomic.Pointer[map[spelling]V]

	mu      sync.Mutex // guards the map, and serializes replacing the other one; make is called under it
	servers map[Name]V
}

type spelling struct{ scheme, host string }

// New returns a Table of up to limit servers; with a limit of zero or less it tells none apart. make makes the value
// for a name and must not use the Table.
func New[V any](limit int, make func(Name) V) *Table[V] {
	t := &Table[V]{limit: max(limit, 0), make: make}
	if t.limit == 0 {
		t.other = make(Name{})
		return t
	}
	t.other = make(Name{Addr: Other})
	t.servers = map[Name]V{}
	t.spelled.Store(&map[spelling]V{})
	return t
}

// Of returns the value for the server of a URL's scheme and host.
func (t *Table[V]) Of(scheme, host string) V {
	if t.limit == 0 {
		return t.other
	}
	key := spelling{scheme, host}
	if v, known := (*t.spelled.Load())[key]; known {
		return v
	}
	name := Parse(scheme, host)
	t.mu.Lock()
	defer t.mu.Unlock()
	v, known := t.servers[name]
	if !known && len(t.servers) >= t.limit {
		return t.other
	}
	if !known {
		v = t.make(name)
		t.servers[name] = v
	}
	if spelled := *t.spelled.Load(); len(spelled) < 2*t.limit {
		spelled = maps.Clone(spelled)
		spelled[key] = v
		t.spelled.Store(&spelled)
	}
	return v
}

// Each calls f with every value, that for the others included. f may use the Table.
func (t *Table[V]) Each(f func(V)) {
	t.mu.Lock()
	all := make([]V, 0, len(t.servers)+1)
	for _, v := range t.servers {
		all = append(all, v)
	}
	t.mu.Unlock()
	for _, v := range append(all, t.other) {
		f(v)
	}
}

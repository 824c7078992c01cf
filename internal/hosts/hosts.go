// Package hosts distinguishes servers in metrics, up to a limited number. The name of a server comes from requests. A
// program may send requests to any number of hosts, and a metric must not grow with that number.
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

// Other is the Addr of the Name that stands for all servers beyond those that a [Table] distinguishes.
const Other = "other"

// Name is the name of a server: its host in lower case, and its port. The zero Name stands for all servers of a Table
// that distinguishes none.
type Name struct {
	Addr string
	Port int // 0 for Other
}

// Parse returns the name of the server that the host and scheme of a URL mean. If the port is not a number, the port of
// the scheme is used.
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
	name.Addr = strings.ToValidUTF8(name.Addr, "\uFFFD") // a label must be valid UTF-8
	return name
}

// String returns host:port, or only the host if there is no port.
func (n Name) String() string {
	if n.Port == 0 {
		return n.Addr
	}
	return net.JoinHostPort(n.Addr, strconv.Itoa(n.Port))
}

// Table holds a value for each of the first servers that it is asked for, and one value for all other servers. It is
// safe for concurrent use.
type Table[V any] struct {
	limit int
	make  func(Name) V
	other V // the only value if limit is 0

	// spelled is a shortcut that takes no lock: the map is replaced and never written to. Its size has a limit, too.
	spelled atomic.Pointer[map[spelling]V]

	mu      sync.Mutex // guards servers and the replacement of spelled; it is held during calls of make
	servers map[Name]V
}

type spelling struct{ scheme, host string }

// New returns a Table that distinguishes up to limit servers, or none if limit is zero or less. make makes the value
// for a name. It must not use the Table.
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

// Each calls f with every value, including that for all other servers. f may use the Table.
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

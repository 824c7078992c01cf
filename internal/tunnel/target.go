package tunnel

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// authority checks a target, which is a "host:port" with an IPv6 address in brackets, and returns it in the form that a
// proxy takes. It removes the zone of an IPv6 address, which has a meaning only on this machine (RFC 6874 section 4).
func authority(target string) (string, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return "", badTarget(target)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", badTarget(target)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(addr.WithZone("").String(), port), nil
	}
	if host == "" || strings.ContainsFunc(host, notInName) {
		return "", badTarget(target)
	}
	return net.JoinHostPort(host, port), nil
}

// notInName reports whether r cannot stand in a host name, which is a reg-name of RFC 3986 section 3.2.2. Names that
// are not ASCII must have been converted before.
func notInName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._~%!$&'()*+,;=", r)
}

func badTarget(target string) error {
	return fmt.Errorf("proxy target %q is not host:port", target)
}

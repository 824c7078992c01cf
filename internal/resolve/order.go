package resolve

import "net/netip"

// Order returns addrs with IPv6 and IPv4 addresses in turns, beginning with the family of the first address. Within a
// family, it keeps the order (RFC 8305 section 4, with a First Address Family Count of one). Order does not change
// addrs. It returns addrs itself if there is nothing to change.
func Order(addrs []netip.Addr) []netip.Addr {
	first, second := split(addrs)
	if len(second) == 0 {
		return addrs
	}
	ordered := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			ordered = append(ordered, first[i])
		}
		if i < len(second) {
			ordered = append(ordered, second[i])
		}
	}
	return ordered
}

// split separates the addresses of the first address's family from the others.
func split(addrs []netip.Addr) (first, second []netip.Addr) {
	for _, addr := range addrs {
		if isIPv4(addr) == isIPv4(addrs[0]) {
			first = append(first, addr)
		} else {
			second = append(second, addr)
		}
	}
	return first, second
}

func isIPv4(addr netip.Addr) bool { return addr.Unmap().Is4() }

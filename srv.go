package peerpool

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"strings"
	"time"
)

// SRVResolver finds the addresses and ports of a host in its SRV records (RFC 2782). It is a [WatchResolver]: set it as
// Transport.Resolver. The records of the URL's host are those of _Service._Proto.host. The addresses are in the order of
// the records: by priority, and at random by weight within a priority. Without a Balance, a dial tries them in this order.
// A Balance spreads requests over all of them, whatever their priority.
//
// Do not change the fields after the first use. An SRVResolver is safe for concurrent use.
type SRVResolver struct {
	Service string // such as "http", without the underscore
	Proto   string // "" means "tcp"

	// Lookup looks up the records and the addresses of the targets. Nil means [net.DefaultResolver].
	Lookup interface {
		LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	}

	// Refresh is the time after which the records are looked up again. Zero means 30 seconds. If the look-up of the records
	// fails, the last records stay in use. If the look-up of a target fails, its last addresses stay in use, unless the
	// target does not exist any more.
	Refresh time.Duration
}

var _ WatchResolver = (*SRVResolver)(nil)

// LookupNetIP returns the addresses of the targets, in the order of the records.
func (r *SRVResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	found, err := r.lookup(ctx, network, host, make(targets))
	addrs := make([]netip.Addr, len(found))
	for i, addr := range found {
		addrs[i] = addr.Addr()
	}
	return addrs, err
}

// Watch looks up the records after each Refresh until ctx is done. It returns an error only if the first look-up fails.
func (r *SRVResolver) Watch(ctx context.Context, host string, update func([]netip.AddrPort)) error {
	refresh := time.NewTicker(max(cmp.Or(r.Refresh, defaultDNSRefresh), time.Millisecond))
	defer refresh.Stop()
	known := make(targets)
	for first := true; ; first = false {
		addrs, err := r.lookup(ctx, "ip", host, known)
		switch {
		case err == nil:
			update(addrs)
		case first:
			return err
		}
		select {
		case <-refresh.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// targets holds the last addresses of each target.
type targets map[string][]netip.Addr

// lookup looks up the records of a host, and the addresses of their targets. It notes the addresses in known.
func (r *SRVResolver) lookup(ctx context.Context, network, host string, known targets) ([]netip.AddrPort, error) {
	dns := r.Lookup
	if dns == nil {
		dns = net.DefaultResolver
	}
	_, records, err := dns.LookupSRV(ctx, r.Service, cmp.Or(r.Proto, "tcp"), host)
	if err != nil && len(records) == 0 { // a net.Resolver leaves out malformed records, and returns the others with an error
		return nil, err
	}
	var addrs []netip.AddrPort
	named := make(map[string]bool)
	for _, record := range records {
		if record.Target == "." { // RFC 2782: the service is not available at this domain
			continue
		}
		if !named[record.Target] {
			named[record.Target] = true
			found, lookupErr := dns.LookupNetIP(ctx, network, strings.TrimSuffix(record.Target, "."))
			if lookupErr != nil {
				err = lookupErr
			}
			if lookupErr == nil || isNotFound(lookupErr) {
				known[record.Target] = found
			}
		}
		for _, addr := range known[record.Target] {
			addrs = append(addrs, netip.AddrPortFrom(addr.Unmap(), record.Port))
		}
	}
	if len(addrs) == 0 {
		return nil, cmp.Or[error](err, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
	}
	maps.DeleteFunc(known, func(target string, _ []netip.Addr) bool { return !named[target] })
	return addrs, nil
}

func isNotFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

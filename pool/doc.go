// Package pool keeps connections by key, so that one dialed for a key serves many uses of it, one after the
// other or, if it is a Sharer, several at once. It knows no protocol: a connection is anything with a Probe and a
// Close, a key anything comparable.
//
//	p := pool.New(pool.Config[string, *conn]{MaxIdle: 100})
//	lease, err := p.Acquire(ctx, "192.0.2.1:4222", dialer, pool.Terms{IdleTimeout: time.Minute})
//	if err != nil {
//		return err
//	}
//	if err := talk(lease.Conn()); err != nil {
//		lease.Discard("talk_failed") // on any doubt
//		return err
//	}
//	lease.Release() // looked at, then idle, or the next one's, or closed with a reason
//
// # The life of a connection
//
//	                   lease
//	dial ──▶ active ◀──────────▶ idle ──▶ closed   timeout, limits, retire, CloseIdle, Shutdown
//	          │   │    release
//	          │   └──▶ hijacked                     the caller's for good
//	          └──────▶ closed                       discard, a cap, a failed probe, retired
//
// Closed and hijacked are final. A connection that is retired while it is active finishes its lease, takes no
// other and is then closed. Dials are counted apart, as there is no connection yet. A connection on its way from
// a dial or a release to a waiting Acquire is active; so is one that is being probed. A shared connection is active
// as long as it has a lease.
//
// # The rules
//
//  1. One connection, one entry, one key, for life. Keys are compared in full, with ==. A connection is removed
//     by a pointer to its entry, never searched by key.
//
//  2. Every path back to idle goes through one function, settle. It looks, in this order, at: retired; the
//     failed probe; the pool being shut down; Terms.Unpooled of the lease that ends; the caps on reuse and
//     lifetime. What passes goes to a want that may have it, otherwise to idle, unless the pool was told to
//     close its idle connections or to keep none, or has as many of the key as it keeps.
//
//  3. A lease ends exactly once, by Release, Discard or Hijack. Ending it twice panics, also when the connection
//     has been leased again since: leases are numbered. What would close a connection that others share retires it
//     instead: it gets no new lease, and is closed when the last one ends.
//
//  4. The lock is never held while calling a connection, a dialer or a hook. Methods choose under the lock and
//     act after it. A close is therefore counted a moment before the connection's Close is called; it is called
//     on the goroutine whose call decided it, before dials that profit from the room are started.
//
//  5. Every want starts a dial of its own, within the limits, the oldest first; the end of any dial or connection
//     starts those that have had to wait for room. Where connections are shared, or may be (Terms.Expect), a dial is
//     begun for as many wants as its connection should serve. No want counts on a dial that its asker has given up:
//     it may hang. The dial of an asker that a shared connection has served goes over to another want, which then
//     begins none of its own until that one has ended without serving it. A dial outlives the Acquire that asked for
//     it: its context keeps that one's values, and only Shutdown cancels it. Its connection goes to the want that
//     asked for it if that still waits, else to the oldest that may have it, else to idle; where its Terms were
//     Unpooled and its want has left, or it is shared and another one has room, it is closed. Its error goes to the
//     want that asked for it and to no other; when that one has left or was served otherwise, the error is only
//     counted. A panicking Dialer has failed with an error. A want whose context ends leaves nothing behind: a
//     connection, or a place on a shared one, that was delivered at that very moment is settled anew, as if unused.
//     A connection that is Private goes to the want that asked for it, and to nobody else.
//
//  6. Limits are exact, at every moment: idle in total and by key, connections by key, dials by key. Beyond the
//     idle limit of its key the connection that comes back is closed; beyond that in total the one that was
//     released longest ago, of whatever key. Released connections, and room on shared ones, go to wants first in,
//     first out. Of shared connections the one with the fewest leases is leased, an idle one first. A want that
//     MaxConns holds back waits for its own MaxConns only. Fresh and Unpooled wants take new connections only,
//     and where MaxConns holds them back the room they need is made: an idle connection of their key is closed,
//     or one that is released while no other want has waited longer. A shared one that is released and still in
//     use is drained for that: it takes no new lease, and is closed when its last one ends; one for each such
//     want. Idle connections are leased most recently released first, so that a quiet pool shrinks.
//
//  7. Lifetime and reuse are checked at release, at checkout, when a connection is handed to a want, and
//     lifetime by the reaper. A connection in use is never cut for its age. Age has 10 % of jitter either way,
//     drawn at dial. A candidate that fails a check or its probe is closed, or retired if others share it, and the
//     next one tried before any dial. Nobody leases a used connection that has not been probed since its last lease:
//     the probe of a Rester may wait for the checkout, or for the moment before it is handed to a want.
//
//  8. Memory is bounded: a key is forgotten with its last connection, dial and want. A pool that has met a
//     million keys is as small as one that has met those it still knows.
//
//  9. Opened = idle + active + hijacked + closed, at every moment, and every close has a reason.
//
//  10. A Host is a set of keys that a request may use alternately. Its connections are those of its keys, and each has
//     one key as any other has: they are shared with whoever asks for the key, or for another host that has it. A
//     request takes the idle connection that was released last, whatever its key, or a place on the shared one with
//     the fewest leases; it never waits while a listed key could serve it within the limits. Where it has to wait, its
//     dial says which key it leads to. Limits of a key hold for all keys of the host together, exactly: dials count
//     that may lead to one of them, whoever has asked. Those who wait for keys that overlap are served first in, first
//     out. Connections of a key that is taken off the list serve no new request, count until they are gone, and make
//     room first. With a Balance the key whose turn it is serves, and one that has no connection for it gets a dial
//     meanwhile, one at a time and within the limits. A host is forgotten, with its groups, when it has no connection, dial or want.
//
//  11. What a pool needs ends when there is nothing to watch: one timer while idle connections have a deadline,
//     one goroutine for each dial, none otherwise. A pool that is dropped keeps nothing alive once its idle
//     connections have timed out. A pool made inside a testing/synctest bubble works there.
package pool

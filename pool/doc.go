// Package pool keeps connections by key, so that a connection that was dialed for a key serves many uses of the key. The
// uses follow one another. If the connection is a Sharer, several uses share it at the same time. The package knows no
// protocol: a connection is any value with the methods Probe and Close, and a key is any comparable value.
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
//	lease.Release() // the pool probes it, then keeps it, hands it to a want, or closes it with a reason
//
// # The life of a connection
//
//	                   lease
//	dial ──▶ active ◀──────────▶ idle ──▶ closed   timeout, limits, retire, CloseIdle, Shutdown
//	          │   │    release
//	          │   └──▶ hijacked                     the caller owns it for good
//	          └──────▶ closed                       discard, a cap, a failed probe, retired
//
// Closed and hijacked are final. A connection that is retired while it is active finishes its lease, takes no other lease
// and is then closed. Dials are counted separately, because there is no connection yet. A connection on its way from a
// dial or a release to a waiting Acquire is active, and so is a connection that is being probed. A shared connection is
// active as long as it has a lease.
//
// # The rules
//
// A want is an Acquire that waits for a connection. A retired connection takes no new lease.
//
//  1. One connection has one entry and one key, for life. Keys are compared in full, with ==. The pool removes a
//     connection by a pointer to its entry, and never searches for it by key.
//
//  2. Every path back to idle goes through one function, settle. It checks, in this order, whether the connection is
//     retired, whether its probe failed, whether the pool is being shut down, whether the lease that ends has
//     Terms.Unpooled set, and whether the limits on reuse and lifetime are reached. A connection that passes goes to a
//     want that may have it. If there is none, it becomes idle, unless the pool was told to close its idle connections
//     or to keep none, or already keeps as many of the key as it may.
//
//  3. A lease ends exactly once, by Release, Discard or Hijack. Ending it twice panics, even if the connection has
//     been leased again since, because leases are numbered. If other leases share a connection that would be closed,
//     the pool retires it instead: it gets no new lease, and is closed when the last lease ends.
//
//  4. The pool never holds its lock while it calls a connection, a dialer or a hook. Methods decide under the lock and
//     act after they have released it. A close is therefore counted a moment before the connection's Close is called.
//     Close is called on the goroutine whose call decided it, before dials that use the room are started.
//
//  5. Every want starts a dial of its own, within the limits, the oldest want first. Config.DialBurst bounds how many dials
//     for a key begin before others have ended; if none ends for 3 milliseconds, every want starts its own. When a dial or a connection ends,
//     the pool starts the dials that had to wait for room. If connections are shared, or may be (Terms.Expect), the
//     pool begins one dial for as many wants as its connection should serve. No want relies on a dial whose Acquire
//     has given up, because that dial may hang. If a shared connection has served the Acquire that asked for a dial,
//     another want takes the dial over. That want begins no dial of its own until the dial has ended without serving
//     it.
//
//     A dial outlives the Acquire that asked for it: its context keeps the values of the Acquire's context, and only
//     Shutdown cancels it. Its connection goes to the want that asked for it if that want still waits. Otherwise it
//     goes to the oldest want that may have it, or becomes idle. It is closed if its Terms were Unpooled and its want
//     has left, or if it is shared and another shared connection has room. An error of the dial goes only to the want
//     that asked for it. If that want has left or was served otherwise, the error is only counted. If a Dialer panics,
//     its dial has failed with an error.
//
//     A want whose context ends leaves nothing behind. If a connection, or a place on a shared one, was delivered at
//     that very moment, it is settled again as if unused. A connection that is Private goes only to the want that
//     asked for it.
//
//  6. Limits are exact at every moment: idle connections in total and by key, connections by key, and dials by key. If
//     a key would have more idle connections than its limit, the pool closes the connection that comes back. If the
//     pool would have more idle connections in total, it closes the connection that was released longest ago, whatever
//     its key. Released connections, and room on shared ones, go to wants first in, first out. Of shared connections,
//     the pool leases the one with the fewest leases, an idle one first. Idle connections are leased most recently
//     released first, so that a quiet pool shrinks. Those that had no lease yet come before all others, the oldest of
//     them first: see rule 14.
//
//     A want that MaxConns holds back waits only for its own MaxConns. Fresh and Unpooled wants take only new
//     connections. If MaxConns holds them back, the pool makes the room that they need. It closes an idle connection
//     of their key, or one that is released while no other want has waited longer. If a shared connection is released
//     and still in use, the pool drains it for that purpose: it takes no new lease, and is closed when its last lease
//     ends. The pool drains one such connection for each such want.
//
//  7. The pool checks lifetime and reuse at release, at checkout, and when it hands a connection to a want. The reaper
//     also checks lifetime. A connection in use is never cut because of its age. The limit on age varies by up to 10 %
//     in either direction, drawn at dial. If a candidate fails a check or its probe, the pool closes it, or retires it
//     if others share it, and tries the next candidate before any dial. The pool never leases a used connection that
//     has not been probed since its last lease. The probe of a Rester may be delayed until checkout, or until the
//     moment before the connection is handed to a want.
//
//  8. Memory is bounded: the pool forgets a key when its last connection, dial and want are gone. A pool that has seen
//     a million keys is as small as one that has seen only the keys it still knows.
//
//  9. Opened equals the sum of idle, active, hijacked and closed connections at every moment, and every close has a
//     reason.
//
//  10. A Host is a set of keys that a request may use interchangeably. Each of its connections has one key, as any
//     other connection has. Callers that ask for the key itself, or for another Host that has the key, share the
//     connection. A request takes the first idle connection in the order of rule 6, whatever its key, or a place on the
//     shared connection with the fewest leases. It never waits while a listed key could serve it within the limits.
//     If it has to wait, its dial decides which key the connection belongs to.
//
//     Limits of a key apply to all keys of the Host together, exactly. Dials that may lead to one of the keys count,
//     no matter which request asked for them. Wants that wait for overlapping keys are served first in, first out.
//     If a Host gets a key that has idle connections, when the pool comes to know the Host, by SetKeys, or by a dial that
//     leads to the key, the pool closes the idle connections of the Host that exceed the limit.
//     Connections of a key that is removed from the Host serve no new request, count until they are gone, and are the
//     first to make room. The pool forgets a Host, with its groups, when it has no connection, dial or want.
//
//     With a Balance, the key whose turn it is serves the request. If it has no connection for the request, another key
//     that has one serves it. Meanwhile the pool dials for the first key, one dial at a time, within the limits, and only
//     if the connection could become idle. To make room for it, the pool closes an idle connection of a key that has at
//     least two more. BalanceRoundRobin gives the keys their turns one after the other; when the
//     pool comes to know the Host, it draws the first at random. A key that
//     has served out of its turn is passed over, and one that has missed its turn makes up for it. BalanceLeastLeases
//     takes the key with the fewest leases or, of equal ones, the key that has served the fewest. It compares up to
//     eight keys. If there are more, it compares the next key in turn with one that it draws at random, so that a
//     request costs the same however many keys there are. A key makes up for at most 128 turns on either side, and not
//     for a time when it was not listed or not dialed.
//
//  11. The pool runs only what it needs: one timer while idle connections have a deadline, one timer for each floor, one
//     goroutine for each dial, and none otherwise. A pool that is dropped keeps nothing alive once its idle connections
//     have timed out and its floors have ended. A pool that was created inside a testing/synctest bubble works there.
//
//  12. A floor, which KeepIdle sets, is the number of idle connections that a key or a Host keeps ready. A free place on
//     a shared connection counts as one. If there are fewer, for whatever reason, the pool dials, although
//     no want waits. Such a dial is within all limits, comes after the dials of wants, and does not make room for
//     itself. A floor pauses after a failure, and ends an hour after the last KeepIdle. Warm dials in the same way,
//     once, and takes the idle places of other keys. If a connection ends before it could be of use, Warm dials again
//     without a pause, until that has happened three times in a row. While a call of Warm waits, the connections that it
//     counts are not closed for Config.MaxIdle: of all others, the pool closes the one that was released longest ago. A
//     call that needs more of MaxIdle than earlier calls for other keys leave fails at once.
//
//  13. The pool replaces a connection that is a Replacer, and that is in use, before it reaches a limit on its age or
//     its reuse. When an eighth of its life or of its uses is left, or 10 seconds or 4 leases if that is less, the
//     pool dials a successor, although no want waits for one. If dials of the key have lately taken so long that the
//     connections of the key could not all be replaced in that time, the pool begins earlier: when one and a half
//     times the time that they all need is left, but not before a quarter of the life or of the uses is over. It
//     assumes that leases follow one another as before. If the connection may have fewer than 8 leases in all, the
//     pool does not replace it for its reuse. When the successor is open, the pool retires the old connection if it
//     is near the end of its life, if it is shared, or if the pool began early. Otherwise requests use up the old
//     connection first. If there is no room for both connections, the pool dials when it closes the old one: for its
//     age, when nobody uses it or waits for it; for its reuse, at the end of its last lease. The pool replaces one
//     connection of a key at a time, and one more for each 32 connections of the key, or as many as it takes if each
//     connection lasts for less time than it takes to replace them all. An old connection counts until it is closed,
//     for twice the time of a dial at most. An idle connection counts as in use until half its life has passed since
//     its last lease, or 30 seconds if that is less. A successor that nobody has used is not replaced, so a pool that
//     is not in use ends. After CloseIdle, KeepNone or Shutdown, the pool replaces nothing. If the dial fails, the
//     connection stays until it reaches its limit.
//
//  14. An idle connection is unused if it had no lease yet. Many servers wait for the first request on a connection
//     with a thread that serves nobody else meanwhile, so unused connections are leased first. If an unused
//     connection was dialed for a want, which another connection has served or which has left, the pool closes it
//     after 4 seconds (ReasonUnused), or after its IdleTimeout if that is less. Unused connections that were dialed
//     for no want, and those that count for a floor or for a Warm, stay as long as used ones. A successor is not
//     leased first, because requests use up the old connection before it.
//
//  15. SetLimits changes the limits on idle connections, and the Terms of some keys. The new Terms bind the idle and the
//     shared connections of a key, its wants, its dials, also those of Hosts that have the key, and its floors. A
//     connection keeps a lower MaxReuse and MaxLifetime that it had. SetLimits closes the idle connections that have
//     reached a limit. If a key or a Host has more connections than its MaxConns, or more idle ones than a limit, it
//     closes idle ones, in the order in which they make room (rule 6), until there are no more or the limit holds.
//     A lease keeps its Terms, unless its caller calls Rebind. If there are more connections than MaxConns then, the
//     pool retires the connection of that lease.
//
// # What only some callers need
//
// A simple caller uses New, Acquire, Release and Discard. These parts are for callers with a protocol of their own. No
// caller could build them from the others:
//
//   - ErrRetired tells a caller that its new connection ended before anybody used it, as when a server accepts a
//     connection and shuts down. Nothing was sent, so the caller may try again. Other errors come from the dialer.
//
//   - Rester is for connections whose full probe costs a system call, as with TLS. They are probed once for each lease
//     and not twice.
//
//   - Terms.Expect and ExpectUnknown are for protocols that agree during the dial how many leases a connection serves,
//     as ALPN does for HTTP/2. Without them, a burst of wants to a new key would dial as many connections as there are
//     wants.
//
//   - Terms.Missed is for callers that call TryAcquire first, because it does not allocate, and then Acquire. With it,
//     a use that finds a stale connection counts as one miss, for the right reason.
//
//   - Knows is for callers that keep data for each key, such as how to dial it, and drop the data in OnForget. OnForget
//     is called without the lock, so another Acquire may have made the key known again: Knows reports whether it has.
//
//   - KeepIdle and Warm are for callers whose first uses should not wait for a dial. The limits on idle connections are the
//     pool's, and so is the knowledge when one is taken or closed.
package pool

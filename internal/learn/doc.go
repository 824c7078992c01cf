// Package learn infers the limits of a peer from the moments at which it closes connections.
//
// A server closes a connection that has been idle for some time, and most servers do not announce that time. A request
// that is sent just then is lost: the client cannot know whether the server has processed it, and so must not send it
// again unless it is idempotent. The closes themselves show the limit, because connections that are closed at a limit
// have all been idle for the same time, although they became idle at different times.
//
// # Idle time
//
// [Idle] keeps the latest eight closes of idle connections, as pairs of a moment and an idle time. Closes that come
// within a hundredth of their idle time of each other, or within 5 milliseconds, count as one. A server that stops
// closes all its connections at one moment, which must not teach a limit. On the other hand, if several closes are
// apart in time and agree in idle time, a limit is almost the only explanation. Idle takes these for a limit:
//
//   - three closes or more whose idle times differ by at most a fiftieth,
//   - four closes or more whose idle times differ by at most a twentieth, or
//   - five closes or more whose idle times differ by at most a quarter, for servers that look at their idle connections
//     only now and then.
//
// In each case, they must be three quarters of the closes that Idle keeps, and as many as the rule names must be apart
// from each other by at least twice the difference of the idle times. A restart that takes some time does not pass this
// test: while its closes spread over that time, the idle times spread as much. A server that closes connections because
// it is short of room does not pass it either, because the idle times differ. At least one of the closes must have been
// that of an idle connection: losses alone do not teach, because a server may also close a connection because of a
// request. Closes that are older than ten minutes do not count, unless 16 times the idle time is longer.
//
// The limit is the shortest of those idle times. A later close may lower it by a twentieth at most, if the others do not
// agree.
//
// # Margin
//
// The time that a request may use is shorter than the limit by a margin, because the server's clock starts before the
// client has read the response, and the next request takes some time to get there. The margin always includes the time
// of the quickest connect, which is that of a round trip.
//
// At first, the rest of the margin is the usual one: a twentieth of the limit, and at least 10 milliseconds, or an
// eighth of the limit if that is less. When 32 closes have confirmed the limit (closes of one moment count as one), the
// margin follows what has been seen:
//
//   - Four times the spread of the idle times at which the server closed, divided by the number of closes, of the last
//     512 to 1024. The true limit is rarely shorter than the shortest of them by more.
//   - One and a half times the spread of the times that the last 128 to 256 requests took. It shows how late the client
//     and the server are when they read something, and also how much the requests differ. If this is more than the usual
//     margin, the usual margin is used instead, or more of it if the limit is short: up to a quarter of the limit, but not
//     more than 10 milliseconds.
//
// So the margin is well below a twentieth if a server closes at exact times, and does not become too small if the server
// or the client is short of processor time. If a request is lost although its connection was idle for less than the
// margin allows, the margin is at least the usual one for ten minutes, and for twice as long after each further such
// loss. If the margin was the usual one, it doubles, up to three quarters of the limit, and is halved again after ten
// minutes without a loss. Losses count once for each limit or tenth of a second that passes.
//
// # Care after a close
//
// After a close that no limit explains, Use stays below the idle time of that connection by the usual margin: other
// connections that have been idle for as long may be closed at this moment. This lasts for twice that idle time, but at
// least a second and at most 5 seconds. A lost request has the same effect if a limit is known or if the peer has closed
// an idle connection lately. Losses alone have no effect: if a peer in trouble closes connections under requests, more
// new connections would add to its trouble.
//
// # Limits that change
//
// Every further close at the limit confirms it. If closes agree at a shorter idle time, the limit falls at once. It
// rises slowly: by a quarter when ten minutes have passed without a confirmation, and then every minute, until it has
// reached four times what was learned and is forgotten. If connections have been seen alive beyond the limit four times
// since the last confirmation, and the limit was not confirmed for some time, it rises to that idle time at once, but
// at most doubles. If 512 closes have confirmed the limit and all were later, it rises to the earliest of them.
//
// The tests simulate servers, networks and callers in simulated time. To see how many requests are lost, and how many
// hits there are of those that are possible:
//
//	go test -v -run Hardly ./internal/learn
//
// # Requests on a connection
//
// [Requests] keeps the number of requests that the latest connections had served when the peer ended them, either by
// announcing it with the last response or by closing at once after that response. If four in a row had served the same
// number, and no other connection has served more in the meantime, the peer has a limit. If one connection serves
// more, the peer has no limit, or another one. The same is true if the peer keeps a connection open after as many
// requests as the limit allows, and the caller can find that out without a risk.
package learn

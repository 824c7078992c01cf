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
//   - three closes or more whose idle times differ by at most a twentieth, or
//   - five closes or more whose idle times differ by at most a quarter, for servers that look at their idle connections
//     only now and then.
//
// In both cases, they must be three quarters of the closes that Idle keeps, and three or five of them must be apart
// from each other by at least twice the difference of the idle times. A restart that takes some time does not pass this
// test: while its closes spread over that time, the idle times spread as much. A server that closes connections because
// it is short of room does not pass it either, because the idle times differ. At least one of the closes must have been
// that of an idle connection: losses alone do not teach, because a server may also close a connection because of a
// request.
//
// The limit is the shortest of those idle times. The time that a request may use is shorter by a margin: a twentieth of
// the limit, and at least 10 milliseconds (an eighth of the limit, if that is less), and in addition the time of a
// round trip, because the server's clock starts half a round trip earlier and a request takes the other half to get
// there. Each time a request is lost although its connection was idle for less than that, the margin doubles, up to
// three quarters of the limit. It is halved again after ten minutes without a loss.
//
// After a request was lost, Use stays below the idle time of its connection, even if there is no limit: other
// connections that have been idle for as long may be closed at this moment. This lasts for twice that idle time, but
// at most 5 seconds.
//
// Every further close at the limit confirms it. If closes agree at a shorter idle time, the limit falls at once. It
// rises slowly: by a quarter when ten minutes have passed without a confirmation, and then every minute, until it has
// reached four times what was learned and is forgotten. If connections have been seen alive beyond the limit four times
// since the last confirmation, and the limit was not confirmed for some time, it rises to that idle time at once, but
// at most doubles.
//
// # Requests on a connection
//
// [Requests] keeps the number of requests that the latest connections had served when the peer ended them, either by
// announcing it with the last response or by closing at once after that response. If four in a row had served the same
// number, and no other connection has served more in the meantime, the peer has a limit. If one connection serves
// more, the peer has no limit, or another one.
package learn

package http2

// Flow control (RFC 9113 section 5.2): a window in each direction, for each stream and for the connection.

const (
	initialWindow = 1<<16 - 1 // bytes, before anything has been said (section 6.9.2)
	maxWindow     = 1<<31 - 1

	// smallWindow is the window in bytes that every stream begins with. It bounds what an unread response holds.
	smallWindow = 64 << 10
	// defaultStreamWindow is what the window of one stream may grow to.
	defaultStreamWindow = 16 << 20
	// defaultConnWindow is that of the connection. It is given back as bytes arrive, so that no unread response
	// stops another: what bounds memory is the windows of the streams.
	defaultConnWindow = 1 << 30
	// maxGrown bounds by how many bytes all windows of a connection have grown at a time.
	maxGrown = 64 << 20
)

// sendWindow is how many bytes the server takes. It may be negative (section 6.9.2).
type sendWindow int64

// add adds what a WINDOW_UPDATE, or a change of SETTINGS_INITIAL_WINDOW_SIZE, says. It returns false if the window is
// too large then.
func (w *sendWindow) add(n int64) bool {
	*w += sendWindow(n)
	return *w <= maxWindow
}

// recvWindow is how many bytes we take.
type recvWindow struct {
	size int64 // what it should be
	left int64 // what the server may still send
	held int64 // what it has sent and nobody has read
}

// take notes that n bytes have come. It returns false if they are more than the server may send.
func (w *recvWindow) take(n int64) bool {
	if n > w.left {
		return false
	}
	w.left -= n
	w.held += n
	return true
}

// release notes that n bytes have been read. It returns by how much to open the window: nothing, until that is worth a
// frame.
func (w *recvWindow) release(n int64) (give int64) {
	w.held -= n
	give = w.size - w.left - w.held
	if give < w.size/2 {
		return 0
	}
	w.left += give
	return give
}

// growth is when a stream's window grows: if the server needs less than two round trips to fill half of it, the window
// and not the network is what limits it. So it comes to be about four times the product of bandwidth and delay.
type growth struct {
	since int64 // when the window was opened last; see Conn.now
}

// due says whether the window should grow, that is being opened now.
func (g *growth) due(now, roundTrip int64) bool {
	since := g.since
	g.since = now
	return since > 0 && roundTrip > 0 && now-since < 2*roundTrip
}

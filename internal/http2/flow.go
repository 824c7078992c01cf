package http2

// Flow control (RFC 9113 section 5.2): a window in each direction, for each stream and for the connection.

const (
	initialWindow = 1<<16 - 1 // bytes, before either side has set another size (section 6.9.2)
	maxWindow     = 1<<31 - 1

	// smallWindow is the largest window, in bytes, that a stream begins with. It limits how much memory an unread response
	// holds.
	smallWindow = 64 << 10
	// defaultStreamWindow is how many bytes the window of a stream may grow to, unless HTTP2Config says otherwise.
	defaultStreamWindow = 16 << 20
	// defaultConnWindow is the window of the connection. We open it again as bytes arrive, so that an unread response does
	// not stop the others. The windows of the streams limit the memory.
	defaultConnWindow = 1 << 30
	// maxGrown limits by how many bytes, all together, the windows of a connection's streams have grown at a time.
	maxGrown = 64 << 20
)

// sendWindow is how many bytes the server accepts. It may be negative (section 6.9.2).
type sendWindow int64

// add adds n, which comes from a WINDOW_UPDATE or from a change of SETTINGS_INITIAL_WINDOW_SIZE. It returns false if the
// window is then too large.
func (w *sendWindow) add(n int64) bool {
	*w += sendWindow(n)
	return *w <= maxWindow
}

// recvWindow is how many bytes we accept.
type recvWindow struct {
	size int64 // the intended size of the window
	left int64 // bytes that the server may still send
	held int64 // bytes that have come and have not been read
}

// take notes that n bytes have come. It returns false if the server was not allowed to send so many.
func (w *recvWindow) take(n int64) bool {
	if n > w.left {
		return false
	}
	w.left -= n
	w.held += n
	return true
}

// release notes that n bytes have been read. It returns by how many bytes to open the window: 0 until a frame is worth
// sending.
func (w *recvWindow) release(n int64) (give int64) {
	w.held -= n
	give = w.size - w.left - w.held
	if give < w.size/2 {
		return 0
	}
	w.left += give
	return give
}

// growth decides when a stream's window grows. If the server needs less than two round trips to fill half of the window, then
// the window, and not the network, limits the server. So the window grows to about four times the product of bandwidth and
// delay.
type growth struct {
	since int64 // when the window was last opened; see Conn.now for the clock
}

// due reports whether the window, which is being opened now, should grow.
func (g *growth) due(now, roundTrip int64) bool {
	since := g.since
	g.since = now
	return since > 0 && roundTrip > 0 && now-since < 2*roundTrip
}

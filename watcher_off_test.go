package peerpool

// WithoutWatcher has a Transport that has not been used yet watch no connections, as on a system that cannot. Its limits
// are those that it has by then.
func WithoutWatcher(t *Transport) { t.use().watcher.Off = true }

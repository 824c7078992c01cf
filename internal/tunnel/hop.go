package tunnel

import (
	"context"
	"net"
	"sync"
)

// hop runs ask, which talks to the proxy over conn. If ctx ends meanwhile, hop closes conn, which ends every blocked
// read and write of any net.Conn, and returns the cause of ctx. It also closes conn if ask fails or panics. It closes
// conn at most once.
func hop(ctx context.Context, conn net.Conn, ask func() error) error {
	closeConn := sync.OnceFunc(func() { conn.Close() })
	uninterrupted := context.AfterFunc(ctx, closeConn)
	open := false
	defer func() {
		if !open {
			uninterrupted()
			closeConn()
		}
	}()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := ask()
	if !uninterrupted() {
		return context.Cause(ctx)
	}
	open = err == nil
	return err
}

package tunnel

import (
	"context"
	"net"
	"net/url"

	"golang.org/x/net/proxy"
)

// Socks asks the SOCKS version 5 proxy at the other end of conn for a connection to target, a
// "host:port" with an IPv6 address in brackets (RFC 1928). Once it returns nil, conn is that
// connection. A name is left to the proxy to resolve. With a user, its name and password, of 255
// bytes at most each, are offered beside no authentication at all (RFC 1929).
//
// If it fails conn is closed, and it returns the cause of ctx if ctx ended, or a [*net.OpError] that
// names what the proxy answered, never the user.
func Socks(ctx context.Context, conn net.Conn, target string, user *url.Userinfo) error {
	return hop(ctx, conn, func() error {
		target, err := authority(target)
		if err != nil {
			return err
		}
		dialer, err := proxy.SOCKS5("tcp", remoteAddr(conn), credentials(user), established{conn})
		if err != nil {
			return err
		}
		// The context and the end of conn are hop's: this dialer gets a context that never ends.
		_, err = dialer.(proxy.ContextDialer).DialContext(context.Background(), "tcp", target)
		return err
	})
}

func credentials(user *url.Userinfo) *proxy.Auth {
	if user == nil {
		return nil
	}
	password, _ := user.Password()
	return &proxy.Auth{User: user.Username(), Password: password}
}

// remoteAddr names the proxy in errors.
func remoteAddr(conn net.Conn) string {
	if addr := conn.RemoteAddr(); addr != nil {
		return addr.String()
	}
	return ""
}

// established is a dialer whose connection is there already, and one that its user cannot close.
type established struct{ net.Conn }

func (e established) Dial(string, string) (net.Conn, error) { return e, nil }

func (e established) DialContext(context.Context, string, string) (net.Conn, error) { return e, nil }

func (e established) Close() error { return nil }

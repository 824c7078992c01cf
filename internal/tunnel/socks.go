package tunnel

import (
	"context"
	"net"
	"net/url"

	"golang.org/x/net/proxy"
)

// Socks asks the SOCKS version 5 proxy at the other end of conn for a connection to target (RFC 1928). target is a
// "host:port", with an IPv6 address in brackets. When Socks has returned nil, conn is that connection. The proxy
// resolves a host name. If user is not nil, Socks offers its name and password, of at most 255 bytes each, and also
// offers no authentication at all (RFC 1929).
//
// If Socks fails, it closes conn. It returns the cause of ctx if ctx ended, or a [*net.OpError] that names what the
// proxy answered, and never the user.
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
		// hop takes care of the context and of closing conn, so this dialer gets a context that never ends.
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

// remoteAddr returns the name of the proxy for errors.
func remoteAddr(conn net.Conn) string {
	if addr := conn.RemoteAddr(); addr != nil {
		return addr.String()
	}
	return ""
}

// established is a dialer that returns a connection that is already open. Its user cannot close that connection.
type established struct{ net.Conn }

func (e established) Dial(string, string) (net.Conn, error) { return e, nil }

func (e established) DialContext(context.Context, string, string) (net.Conn, error) { return e, nil }

func (e established) Close() error { return nil }

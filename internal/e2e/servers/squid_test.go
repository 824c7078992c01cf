package servers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerpool/peerpool"
	httptestutil "github.com/peerpool/peerpool/httptest_util"
	"github.com/peerpool/peerpool/internal/testkit"
)

// squid starts a Squid that serves requests with the user name ada and the password lovelace.
func squid(t *testing.T) *url.URL {
	t.Helper()
	program, addr := testkit.Installed(t, "squid"), testkit.FreeAddr(t)
	verify := testkit.ConfigFile(t, "verify.sh", `
#!/bin/sh
while read -r user password; do
	if [ "$user $password" = "ada lovelace" ]; then echo OK; else echo ERR; fi
done`)
	const config = `
		http_port %s
		pid_filename none
		coredump_dir %s
		cache deny all
		cache_log /dev/null
		access_log none
		shutdown_lifetime 0 seconds
		auth_param basic program %s
		auth_param basic children 1
		acl known proxy_auth REQUIRED
		http_access allow known
		http_access deny all`
	lines := strings.ReplaceAll(fmt.Sprintf(config, addr, filepath.Dir(verify), verify), "\n\t\t", "\n")
	testkit.RunServer(t, addr, program, "-N", "-f", testkit.ConfigFile(t, "squid.conf", lines))
	return &url.URL{Scheme: "http", Host: addr}
}

func TestSquidServesWhoeverItKnows(t *testing.T) {
	proxy := squid(t)
	plain := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	secure := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	as := func(user *url.Userinfo) *testkit.Subject {
		u := *proxy
		u.User = user
		return testkit.Observe(t, &peerpool.Transport{Proxy: http.ProxyURL(&u), TLSClientConfig: secure.ClientTLS()})
	}

	known := as(url.UserPassword("ada", "lovelace"))
	for want := 1; want <= 5; want++ {
		known.Get(plain.URL())
		if seen := known.Seen(testkit.NewRequest(t, "GET", secure.URL(), nil)); seen.Conn != 1 || seen.Seq != want ||
			len(seen.Header["Proxy-Authorization"]) != 0 {
			t.Errorf("through the tunnel: %+v", seen)
		}
	}
	if st := known.Stats(); st.Opened != 2 {
		t.Errorf("%d connections to the proxy, want one in absolute form and one tunnel", st.Opened)
	}

	for name, user := range map[string]*url.Userinfo{"nobody": nil, "a liar": url.UserPassword("ada", "byron")} {
		t.Run(name, func(t *testing.T) {
			s := as(user)
			if resp, _ := s.Send(testkit.NewRequest(t, "GET", plain.URL(), nil)); resp.StatusCode != http.StatusProxyAuthRequired {
				t.Errorf("in absolute form: %s", resp.Status)
			}
			err := testkit.FailsToDial(s, testkit.NewRequest(t, "GET", secure.URL(), nil))
			if err.Hop != "proxy" || err.Error() != "Proxy Authentication Required" {
				t.Errorf("through a tunnel: %+v", err)
			}
		})
	}
}

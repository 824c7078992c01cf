package testkit

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Apache starts an Apache that answers GET and POST requests for one file. The settings are added to its configuration: its
// limits.
func Apache(t *testing.T, settings string) (url string) {
	t.Helper()
	program, addr := Installed(t, "apache2"), FreeAddr(t)
	root := filepath.Dir(ConfigFile(t, "index.html", "x"))
	path := ConfigFile(t, "apache2.conf", fmt.Sprintf(`
		ServerName localhost
		User www-data
		Group www-data
		ServerRoot %[1]s
		DefaultRuntimeDir %[1]s
		PidFile %[1]s/pid
		ErrorLog /dev/stderr
		Listen %[2]s
		LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
		LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
		KeepAlive On
		DocumentRoot %[1]s
		%[3]s`, root, addr, settings))
	RunServer(t, addr, program, "-X", "-f", path)
	return "http://" + addr + "/index.html"
}

// Gunicorn starts a gunicorn with threads that answers each request with "x". The arguments are its limits.
func Gunicorn(t *testing.T, args ...string) (url string) {
	t.Helper()
	program, addr := Installed(t, "gunicorn"), FreeAddr(t)
	path := ConfigFile(t, "app.py", `
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [b"x"]`)
	args = append([]string{"--chdir", filepath.Dir(path), "-b", addr, "-k", "gthread"}, args...)
	RunServer(t, addr, program, append(args, "app:app")...)
	return "http://" + addr
}

// Node starts a Node server that reads each request to its end and answers it with "x". The settings are statements about
// the variable server.
func Node(t *testing.T, settings string) (url string) {
	t.Helper()
	program, addr := Installed(t, "node"), FreeAddr(t)
	host, port, _ := strings.Cut(addr, ":")
	path := ConfigFile(t, "server.js", fmt.Sprintf(`
		const server = require("http").createServer((req, res) => { req.resume(); req.on("end", () => res.end("x")) });
		%s
		server.listen(%s, "%s", 1024);`, settings, port, host))
	RunServer(t, addr, program, path)
	return "http://" + addr
}

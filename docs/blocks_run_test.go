package docs_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// The documents name this server. When a block runs, a server of the test is in its place.
const named = "https://api.example.com"

// stand are the values that a block takes for granted when it runs, by their declaration. A function stands as it is
// written.
var stand = map[string]string{
	"certificate tls.Certificate":             `httptestutil.NewCA(t).Client("tenant-a")`,
	"certificates map[string]tls.Certificate": `map[string]tls.Certificate{"a": httptestutil.NewCA(t).Client("a")}`,
	"client *http.Client":                     `&http.Client{Transport: peerpool.New()}`,
	"ctx context.Context":                     `t.Context()`,
	"exporter sdktrace.SpanExporter":          `tracetest.NewInMemoryExporter()`,
	"order []byte":                            `[]byte("{}")`,
	"registry *prometheus.Registry":           `prometheus.NewRegistry()`,
	"req *http.Request":                       `func() *http.Request { req, _ := http.NewRequest("GET", "` + named + `/", nil); return req }()`,
	"roots *x509.CertPool":                    `func() *x509.CertPool { pool, _ := x509.SystemCertPool(); return pool }()`,
	"server *http.Server":                     `&http.Server{Addr: "127.0.0.1:0"}`,
	"server *httptest.Server":                 `httptest.NewTLSServer(http.NotFoundHandler())`,
	"stop context.Context":                    `func() context.Context { stop, cancel := context.WithCancel(t.Context()); cancel(); return stop }()`,
	"theirs *http.Transport":                  `http.DefaultTransport.(*http.Transport).Clone()`,
	"transport *peerpool.Transport":           `peerpool.New()`,
}

// Every block of Go compiles, which another test checks. Blocks that are statements, tests or whole programs also run:
// without an error, and without a request to any server other than that of this test.
func TestEveryBlockOfGoRuns(t *testing.T) {
	origin := httptestutil.NewOrigin(t, httptestutil.OriginOptions{
		CA: httptestutil.NewCA(t), TLS: &tls.Config{ClientAuth: tls.RequestClientCert},
	})
	dir := moduleFor(t)
	var where []string          // of each block that runs
	printed := map[int]string{} // by each program that runs: the block of text that follows it
	for _, doc := range documents(t) {
		for i, b := range doc.blocks {
			if b.language != "go" || b.from != "" {
				continue
			}
			b.text = strings.ReplaceAll(b.text, named, origin.URL())
			number := len(where)
			where = append(where, fmt.Sprintf("%s:%d", doc.path, b.line))
			if hasPackageClause.MatchString(b.text) {
				printed[number] = ""
				if i+1 < len(doc.blocks) && doc.blocks[i+1].language == "text" {
					printed[number] = doc.blocks[i+1].text
				}
				write(t, filepath.Join(dir, fmt.Sprintf("program%d", number), "main.go"), b.text)
				continue
			}
			text, err := runnable(b, number)
			if err != nil {
				t.Fatalf("%s: %v", where[number], err)
			}
			write(t, filepath.Join(dir, fmt.Sprintf("block%d_test.go", number)), strings.ReplaceAll(text, named, origin.URL()))
		}
	}
	roots := filepath.Join(dir, "roots.pem")
	write(t, roots, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: origin.CA().Certificate().Raw})))
	if out, err := goIn(t, dir, roots, "test", "-count=1", "-timeout=5m", "."); err != nil {
		report(t, out, where)
	}
	for n, want := range printed {
		if out, err := goIn(t, dir, roots, "run", fmt.Sprintf("./program%d", n)); err != nil || string(out) != want {
			t.Errorf("%s: the program prints %q, %v; want %q", where[n], out, err, want)
		}
	}
	if len(where) < 20 || origin.Requests() < 5 {
		t.Errorf("%d blocks ran and made %d requests, which cannot be all", len(where), origin.Requests())
	}
}

// moduleFor makes a module that uses this one, with the same versions of everything else.
func moduleFor(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), strings.Replace(string(text), "module "+module, "module blocks", 1))
	}
	if out, err := goIn(t, dir, "", "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+root); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// goIn runs the go command in a directory, and returns what it prints. Programs find the roots that they trust in a file,
// and no proxy.
func goIn(t *testing.T, dir, roots string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasSuffix(strings.ToUpper(name), "_PROXY")
	}), "GOFLAGS=-mod=mod", "GOPROXY=off", "SSL_CERT_FILE="+roots)
	return cmd.CombinedOutput()
}

var numbered = regexp.MustCompile(`(?m)block(\d+)_test\.go|TestBlock(\d+)\b`)

// report fails the test with the output of go test, in which each block has its place in the documents.
func report(t *testing.T, out []byte, where []string) {
	t.Helper()
	t.Errorf("%s", numbered.ReplaceAllStringFunc(string(out), func(name string) string {
		m := numbered.FindStringSubmatch(name)
		n, err := strconv.Atoi(m[1] + m[2])
		if err != nil || n >= len(where) {
			return name
		}
		return name + " (" + where[n] + ")"
	}))
}

// runnable returns a file of tests that runs a block: a test around statements, or the block itself if it consists of
// declarations.
func runnable(b block, number int) (string, error) {
	functions, values, err := standIns(b.given)
	if err != nil {
		return "", err
	}
	head := "package blocks\n" + importClause(block{text: b.text + values, given: b.given + " testing.T "}) + functions
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+b.text, parser.SkipObjectResolution); err == nil {
		return head + b.text, nil
	}
	body := "func _() error {\n" + b.text + "\nreturn nil\n}\n"
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%sfunc TestBlock%d(t *testing.T) {\n%s\tif err := func() error {\n%s%s\nreturn nil\n}(); err != nil {\n\t\tt.Error(err)\n\t}\n}\n",
		head, number, values, b.text, use(file)), nil
}

// standIns returns the functions that a block takes for granted, and declarations of the variables with their values.
func standIns(given string) (functions, values string, err error) {
	if given == "" {
		return "", "", nil
	}
	for _, declaration := range strings.Split(given, "; ") {
		variable, ok := strings.CutPrefix(declaration, "var ")
		if !ok {
			functions += declaration + "\n"
			continue
		}
		value, ok := stand[variable]
		if !ok {
			return "", "", fmt.Errorf("what is %s? Add a value to stand, in blocks_run_test.go", variable)
		}
		name, _, _ := strings.Cut(variable, " ")
		values += fmt.Sprintf("\tvar %s = %s\n\t_ = %s\n", variable, value, name)
	}
	return functions, values, nil
}

// use returns a statement that uses the variables that the only function of a file declares, as a piece of code may leave
// one unused.
func use(file *ast.File) string {
	var used strings.Builder
	note := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok && id.Name != "_" {
			fmt.Fprintf(&used, "\n_ = %s", id.Name)
		}
	}
	for _, statement := range file.Decls[0].(*ast.FuncDecl).Body.List {
		switch s := statement.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				for _, e := range s.Lhs {
					note(e)
				}
			}
		case *ast.DeclStmt:
			for _, spec := range s.Decl.(*ast.GenDecl).Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range v.Names {
						note(name)
					}
				}
			}
		}
	}
	return used.String()
}

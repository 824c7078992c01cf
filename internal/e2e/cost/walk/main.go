// Command walk counts the functions that one warm request passes through, in this module and in net/http:
//
//	go run ./internal/e2e/cost/walk
//
// It builds itself with coverage counters, clears the counters after some requests, makes one more, and counts the
// functions and the statements that have run. With -v it names the functions. The count does not depend on chance: the requests
// run on one processor, so that each finds in a sync.Pool what the one before it has put there, and all responses are equal.
package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"runtime/coverage"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
)

const module = "github.com/peerpool/peerpool"

// walks are the requests that are counted.
var walks = []struct {
	name, client, where string
	http2               bool
}{
	{"GET over HTTP/1.1", "peerpool", module, false},
	{"GET over HTTP/2", "peerpool", module, true},
	{"net/http's GET over HTTP/1.1", "net/http", "net", false},
	{"net/http's GET over HTTP/2", "net/http", "net", true},
}

func main() {
	log.SetFlags(0)
	verbose := flag.Bool("v", false, "name the functions")
	request := flag.String("request", "", "make requests with this client, peerpool or net/http, and write the counters")
	flag.Parse()
	var err error
	if *request != "" {
		err = makeRequests(*request, flag.Arg(0), flag.Arg(1))
	} else {
		err = count(*verbose)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// count builds the program that makes the requests, runs it for each walk, and prints the figures.
func count(verbose bool) error {
	dir, err := os.MkdirTemp("", "walk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "walk")
	if _, err := run("go", "build", "-cover", "-covermode=atomic", "-coverpkg="+module+"/...,net/http/...,net/textproto", "-o", program, module+"/internal/e2e/cost/walk"); err != nil {
		return err
	}
	for i, w := range walks {
		counters := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(counters, 0o700); err != nil {
			return err
		}
		if err := serve(w.http2, func(url string) error {
			_, err := run(program, "-request", w.client, url, counters)
			return err
		}); err != nil {
			return err
		}
		table, err := run("go", "tool", "covdata", "func", "-i", counters)
		if err != nil {
			return err
		}
		blocks := filepath.Join(counters, "blocks.txt")
		if _, err := run("go", "tool", "covdata", "textfmt", "-i", counters, "-o", blocks); err != nil {
			return err
		}
		profile, err := os.ReadFile(blocks)
		if err != nil {
			return err
		}
		print(w.name, passed(table, w.where), statements(profile, w.where), verbose)
	}
	return nil
}

func run(name string, args ...string) ([]byte, error) {
	out, err := exec.Command(name, args...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", name, err, failed.Stderr)
	}
	return out, err
}

// serve runs a server of net/http in this process, where nothing is counted.
func serve(http2 bool, use func(url string) error) error {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
		io.WriteString(w, "hello")
	}))
	defer s.Close()
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	return use(s.URL)
}

// makeRequests makes requests through an http.Client, and writes the counters of the last of them.
func makeRequests(client, url, counters string) error {
	runtime.GOMAXPROCS(1)
	insecure := &tls.Config{InsecureSkipVerify: true} // the server's certificate is of no interest
	c := http.Client{Transport: &peerpool.Transport{TLSClientConfig: insecure, ForceAttemptHTTP2: true}}
	if client == "net/http" {
		c.Transport = &http.Transport{TLSClientConfig: insecure, ForceAttemptHTTP2: true}
	}
	for i := range 3 {
		if i == 2 {
			time.Sleep(100 * time.Millisecond) // until what the requests before have begun is over
			if err := coverage.ClearCounters(); err != nil {
				return err
			}
		}
		resp, err := c.Get(url)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		resp.Body.Close()
	}
	if err := coverage.WriteMetaDir(counters); err != nil {
		return err
	}
	if err := coverage.WriteCountersDir(counters); err != nil {
		return err
	}
	os.Exit(0) // which writes no counters
	return nil
}

// passed returns the functions that have run, by file, of the packages at or below a path.
func passed(table []byte, where string) map[string][]string {
	files := map[string][]string{}
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if len(columns) == 3 && columns[2] != "0.0%" && isBelow(columns[0], where) {
			file, _, _ := strings.Cut(columns[0], ":")
			files[file] = append(files[file], columns[1])
		}
	}
	return files
}

// statements returns how many statements have run, of the packages at or below a path. Each line of the profile is a block
// of statements: its place, their number, and how often they have run.
func statements(profile []byte, where string) (n int) {
	for line := range strings.Lines(string(profile)) {
		columns := strings.Fields(line)
		if len(columns) == 3 && columns[2] != "0" && isBelow(columns[0], where) {
			size, _ := strconv.Atoi(columns[1])
			n += size
		}
	}
	return n
}

// isBelow reports whether a place, which begins with a file, is in a package at or below a path. This program is not.
func isBelow(place, where string) bool {
	file, _, _ := strings.Cut(place, ":")
	dir := path.Dir(file)
	return (dir == where || strings.HasPrefix(dir, where+"/")) && !strings.HasSuffix(dir, "/cost/walk")
}

func print(name string, files map[string][]string, statements int, verbose bool) {
	functions, packages := 0, map[string]bool{}
	for file, names := range files {
		functions += len(names)
		packages[path.Dir(file)] = true
	}
	fmt.Printf("%-30s %4d functions with %d statements in %2d files and %d packages\n",
		name, functions, statements, len(files), len(packages))
	if !verbose {
		return
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Printf("\t%s: %s\n", strings.TrimPrefix(file, module+"/"), strings.Join(files[file], ", "))
	}
}

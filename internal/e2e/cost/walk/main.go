// Command walk counts the functions that one warm request passes through, in this module and in net/http:
//
//	go run ./internal/e2e/cost/walk
//
// It builds itself with coverage counters, clears the counters after some requests, makes one more, and counts the
// functions that have run. With -v it names them.
package main

import (
	"bufio"
	"bytes"
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
	"runtime/coverage"
	"slices"
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
		print(w.name, passed(table, w.where), verbose)
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
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
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

// passed returns the functions that have run, by file, of the packages at or below a path. This program is left out.
func passed(table []byte, where string) map[string][]string {
	files := map[string][]string{}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		columns := strings.Fields(lines.Text())
		if len(columns) != 3 || columns[2] == "0.0%" || strings.Contains(columns[0], "/cost/walk/") {
			continue
		}
		file, _, _ := strings.Cut(columns[0], ":")
		if dir := path.Dir(file); dir == where || strings.HasPrefix(dir, where+"/") {
			files[file] = append(files[file], columns[1])
		}
	}
	return files
}

func print(name string, files map[string][]string, verbose bool) {
	functions, packages := 0, map[string]bool{}
	for file, names := range files {
		functions += len(names)
		packages[path.Dir(file)] = true
	}
	fmt.Printf("%-30s %4d functions in %2d files and %d packages\n", name, functions, len(files), len(packages))
	if !verbose {
		return
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Printf("\t%s: %s\n", strings.TrimPrefix(file, module+"/"), strings.Join(files[file], ", "))
	}
}

// Command peerpool shows what package peerpool does.
//
// Without arguments, it runs a demonstration. It starts servers on the loopback interface, some of which misbehave, sends the
// same requests to each of them through peerpool and through net/http, and prints a table of what happened.
//
// "peerpool get" sends requests to URLs. It reports statuses, latencies, protocols and identities, how many connections were
// reused, and why others were opened and closed.
//
// "peerpool probe" measures what a server allows its clients, and prints the settings that fit it.
//
// "peerpool soak" sends requests to servers that misbehave, and keeps a ledger of how each request ended.
//
// "peerpool help" lists all flags.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // a request got no response, or something could not be started or printed
	exitUsage       = 2   // bad arguments
	exitInterrupted = 130 // stopped by a signal, after the report
)

const usage = `peerpool shows what the connection pool of package peerpool does.

  peerpool [-listen ADDR]
        sends thousands of requests to servers in this process, some of which misbehave, through peerpool and
        through net/http, and prints what happened

        -listen ADDR  serve the pool's page at http://ADDR/debug/peerpool meanwhile, and go on with a
                      light load until Ctrl-C

  peerpool get [flags] URL...
        sends GET requests through one Transport and reports what they cost. It does not follow redirects. It uses
        the proxies in HTTP_PROXY, HTTPS_PROXY and NO_PROXY. It speaks HTTP/2 with servers that offer it over TLS

        -n N          requests in total, spread evenly over the URLs (default: one for each URL)
        -c C          callers that send them at the same time (default 1)
        -json         print the report as one JSON object
        -k            accept any certificate
        -H field      send this header field, as in 'Name: value'; may be repeated
        -timeout D    give up a request after this time, which includes its body; 0: never (default 30s).
                      The report says at which hop the request was
        -listen ADDR  serve the pool's page at http://ADDR/debug/peerpool, and its metrics at
                      http://ADDR/metrics, while the requests are sent
        -resolve HOST=IP,IP
                      use these addresses for a host, without a look-up; may be repeated
        -balance HOW  spread the requests over the addresses of a host: none, round-robin or
                      least-requests (default none)

  peerpool probe [-max-wait D] [-max-requests N] [-json] [-k] URL
        measures what a server allows its clients (protocols, requests on a connection, idle time, streams,
        pings, how it closes), and prints the settings that fit it. It uses one connection at a time, sends
        only GET and HEAD, and stops if the server answers 429, or 403 after another status

        -max-wait D      wait this long for the server to close an idle connection (default 2m)
        -max-requests N  send this many requests on a connection (default 120)
        -json            print the findings as one JSON object
        -k               accept any certificate

  peerpool soak [-n N] [-c C] [-seed S]
        sends requests over HTTP/1.1 and HTTP/2 to servers in this process that close, reset, restart, rotate,
        refuse streams and send unexpected data, and keeps a ledger: wrong answers, lost requests, POSTs that
        were executed twice, corrupted uploads, shared connections and leaks must all be 0

        -n N     requests in total (default 100000)
        -c C     callers that send them at the same time (default 32)
        -seed S  the seed of the random choices (default: the time)

  peerpool help
        prints this text

Ctrl-C stops the requests and prints the report so far. A second Ctrl-C ends the program at once.

Exit codes: 0 if every request got its response, or the ledger of soak is clean; 1 if not; 2 for bad arguments;
130 if interrupted. The demonstration exits with 0, whatever its table says.
`

// streams are the places to which a command writes.
type streams struct {
	out, err io.Writer
	live     bool // err is a terminal, so a line on it can be rewritten
}

func main() {
	s := streams{out: os.Stdout, err: os.Stderr, live: isTerminal(os.Stderr)}
	os.Exit(run(interruptible(), os.Args[1:], s))
}

// interruptible returns a context that ends with the first Ctrl-C or SIGTERM. Any further signal has its default effect:
// it ends the program.
func interruptible() context.Context {
	signaled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(signaled, func() {
		stop()
		cancel()
	})
	return ctx
}

// run runs the command that the arguments name, and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	code, err := dispatch(ctx, args, s)
	if err != nil {
		_, _ = fmt.Fprintf(s.err, "peerpool: %v\n", err) // there is no other place to report it
		var bad *usageError
		if errors.As(err, &bad) {
			return exitUsage
		}
		return exitFailed
	}
	return code
}

func dispatch(ctx context.Context, args []string, s streams) (int, error) {
	if len(args) == 0 {
		return demonstrate(ctx, s, demoPhases())
	}
	if isListenFlag(args[0]) {
		return demonstrateOnPage(ctx, args, s, demoPhases())
	}
	switch args[0] {
	case "get":
		return get(ctx, args[1:], s)
	case "probe":
		return probeServer(ctx, args[1:], s)
	case "soak":
		return soakServers(ctx, args[1:], s)
	case "help", "-h", "-help", "--help":
		return exitOK, writeReport(s.out, usage)
	}
	if isWebURL(args[0]) {
		return 0, misuse(`no command given: write "peerpool get URL" or "peerpool probe URL"`)
	}
	return 0, misuse(`unknown command %s: the commands are get, probe and soak, or none for the demonstration`, shown(args[0]))
}

// usageError says what is wrong with the arguments and what to write instead.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func misuse(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// shown quotes an argument for a message, unless it may hold credentials.
func shown(arg string) string {
	const longest = 60
	if len(arg) > longest || strings.ContainsAny(arg, "@:= ") {
		return "(not shown)"
	}
	return fmt.Sprintf("%q", arg)
}

// writeReport writes a whole report.
func writeReport(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("the report could not be written: %w", err)
	}
	return nil
}

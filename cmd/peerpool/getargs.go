package main

import (
	"errors"
	"flag"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/internal/ascii"
	"golang.org/x/net/http/httpguts"
)

const defaultTimeout = 30 * time.Second

// getArgs are the arguments of "peerpool get".
type getArgs struct {
	urls     []*url.URL
	requests int
	callers  int
	timeout  time.Duration // 0: none
	header   http.Header
	host     string // of the Host field; "": the URL's
	insecure bool
	json     bool
	listen   string // address of the page; "": none
	balance  peerpool.Balance
	resolver resolver
}

// parseGet reads the arguments. Flags may stand anywhere. It returns flag.ErrHelp if they ask for help, and a
// *usageError if they are wrong. The error shows what was given, except credentials and values of header fields.
func parseGet(args []string) (*getArgs, error) {
	a := &getArgs{callers: 1, timeout: defaultTimeout, header: http.Header{}, resolver: resolver{}}
	var fields, targets []string
	set := a.flags(&fields)
	for {
		if err := set.Parse(args); err != nil {
			return nil, flagError(err)
		}
		if set.NArg() == 0 {
			break
		}
		targets = append(targets, set.Arg(0))
		args = set.Args()[1:]
	}
	for _, field := range fields {
		if err := a.addField(field); err != nil {
			return nil, err
		}
	}
	if err := checkListen(a.listen); a.listen != "" && err != nil {
		return nil, err
	}
	for _, target := range targets {
		u, err := parseTarget(target)
		if err != nil {
			return nil, err
		}
		a.urls = append(a.urls, u)
	}
	return a, a.settleCount()
}

func (a *getArgs) flags(fields *[]string) *flag.FlagSet {
	set := flag.NewFlagSet("get", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Func("n", "", atLeastOne(&a.requests, "-n 100"))
	set.Func("c", "", atLeastOne(&a.callers, "-c 8"))
	set.BoolVar(&a.json, "json", false, "")
	set.BoolVar(&a.insecure, "k", false, "")
	set.Func("H", "", func(s string) error { // checked later, because an error of the package flag would show the value, which may be a secret
		*fields = append(*fields, s)
		return nil
	})
	set.Func("timeout", "", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return errors.New("write a duration with its unit, as in -timeout 500ms, or 0 for none")
		}
		a.timeout = d
		return nil
	})
	set.StringVar(&a.listen, "listen", "", "")
	set.Func("resolve", "", a.resolver.add)
	set.Func("balance", "", func(s string) error {
		b, known := balances[s]
		if !known {
			return errors.New("write none, round-robin or least-requests")
		}
		a.balance = b
		return nil
	})
	return set
}

// settleCount sets the number of requests if -n does not, and checks that there is one for each URL.
func (a *getArgs) settleCount() error {
	if len(a.urls) == 0 {
		return misuse(`no URL given: write "peerpool get http://HOST/PATH"`)
	}
	if a.requests == 0 {
		a.requests = len(a.urls)
	}
	if a.requests < len(a.urls) {
		return misuse("-n %d leaves URLs out: write -n %d or more, or fewer URLs", a.requests, len(a.urls))
	}
	return nil
}

func atLeastOne(n *int, example string) func(string) error {
	return func(s string) (err error) {
		if *n, err = strconv.Atoi(s); err != nil || *n < 1 {
			return errors.New("write a whole number from 1 on, as in " + example)
		}
		return nil
	}
}

// flagError turns an error of the package flag into a *usageError. It shows an unknown flag only if it looks like a name,
// because a header field may follow -H without a space.
func flagError(err error) error {
	const unknown = "flag provided but not defined: "
	text := err.Error()
	name, undefined := strings.CutPrefix(text, unknown)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case undefined && strings.Trim(name, "-abcdefghijklmnopqrstuvwxyz") == "":
		return misuse(`unknown flag %s: write "peerpool help" to see all`, name)
	case undefined:
		return misuse(`unknown flag: write "peerpool help" to see all, and a space behind the name of a flag`)
	case strings.Contains(text, ": write "):
		return misuse("%s", text)
	}
	return misuse(`%s: write "peerpool help" to see how`, text)
}

// addField adds a header field as -H gives it.
func (a *getArgs) addField(field string) error {
	name, value, found := strings.Cut(field, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !found || !httpguts.ValidHeaderFieldName(name):
		return misuse("-H %s is not a header field: write -H 'Name: value'", shownField(field))
	case !httpguts.ValidHeaderFieldValue(value):
		return misuse("the value of -H '%s: ...' has a control character in it: write one without", name)
	case ascii.EqualFold(name, "Host"):
		a.host = value
	default:
		a.header.Add(name, value)
	}
	return nil
}

// shownField quotes the beginning of a header field for a message: the part that looks like a name. The rest may be a
// secret, and so may a word that does not look like a name.
func shownField(field string) string {
	const letters = "-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	const longest = 40
	name := field[:len(field)-len(strings.TrimLeft(field, letters))]
	switch {
	case name == "" || len(name) > longest:
		return "'...'"
	case name != field:
		name += "..."
	}
	return "'" + name + "'"
}

// parseTarget reads a URL.
func parseTarget(arg string) (*url.URL, error) {
	if isWebURL(arg) {
		return url.Parse(arg)
	}
	given := shownURL(arg)
	u, err := url.Parse(arg)
	switch {
	case !strings.Contains(arg, "://") && !strings.Contains(arg, "@") && isWebURL("http://"+arg):
		return nil, misuse("%q has no scheme: write http://%s or https://%s", given, given, given)
	case err == nil && strings.Contains(arg, "://") && u.Scheme != "http" && u.Scheme != "https":
		return nil, misuse("%q has the scheme %q: write http://HOST:PORT/PATH or https://HOST:PORT/PATH", given, u.Scheme)
	case err == nil && strings.Contains(arg, "://"):
		return nil, misuse("%q has no host: write http://HOST:PORT/PATH or https://HOST:PORT/PATH", given)
	}
	return nil, misuse("%q is not a URL: write http://HOST:PORT/PATH or https://HOST:PORT/PATH", given)
}

// shownURL returns a URL for a message, without the parts that may be secret: user name, password and query.
func shownURL(arg string) string {
	const longest = 200
	arg, _, asks := strings.Cut(arg, "?")
	if asks {
		arg += "?..."
	}
	if at := strings.LastIndex(arg, "@"); at >= 0 {
		scheme, _, found := strings.Cut(arg[:at], "://")
		if found {
			scheme += "://"
		} else {
			scheme = ""
		}
		arg = scheme + "...@" + arg[at+1:]
	}
	if len(arg) > longest {
		arg = strings.ToValidUTF8(arg[:longest], "") + "..."
	}
	return arg
}

func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

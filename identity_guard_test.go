package peerpool

import (
	"crypto/x509"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// inIdentity marks a field whose value is part of the identity of a connection. Everything else in the tables
// below is the reason why a field is not.
const inIdentity = ""

const (
	limitOnly    = "it says how long or how often a connection is used, not who is at its other end"
	keepsReady   = "it says how many connections are opened, not who is at their other end"
	ofDial       = "it bounds how long a dial takes, and leaves nothing behind on the connection"
	ofTransport  = "a Transport has one, and its pool is its own"
	ofExchange   = "it concerns one exchange, and leaves nothing behind on the connection"
	http2Only    = "it decides what is offered, which is in the identity, or bounds what is agreed upon"
	seesNotSteer = "it watches, or refuses, and changes no connection"
)

var peerOptionsFields = map[string]string{
	"Addr":                  inIdentity,
	"ServerName":            inIdentity,
	"AlternativeName":       inIdentity,
	"SkipVerify":            inIdentity,
	"SkipHostnameVerify":    inIdentity,
	"RootCAs":               inIdentity,
	"ClientCertificate":     inIdentity,
	"Proxy":                 inIdentity,
	"NoProxy":               inIdentity, // as the absence of a proxy
	"LocalAddr":             inIdentity,
	"Group":                 inIdentity,
	"Protocols":             inIdentity, // with TLS as the ALPN offered
	"IdleTimeout":           limitOnly,
	"MaxConnReuse":          limitOnly,
	"MaxConnLifetime":       limitOnly,
	"MaxConns":              limitOnly,
	"MinIdleConns":          keepsReady,
	"ConnectTimeout":        ofDial,
	"TLSHandshakeTimeout":   ofDial,
	"DialTimeout":           ofDial,
	"ResponseHeaderTimeout": ofExchange,
	"BodyReadTimeout":       ofExchange,
	"BodyWriteTimeout":      ofExchange,
}

var transportFields = map[string]string{
	"Proxy":                  inIdentity, // its answer
	"TLSClientConfig":        inIdentity,
	"ProxyConnectHeader":     inIdentity,
	"GetProxyConnectHeader":  inIdentity, // its answer
	"PeerFor":                inIdentity, // its answer
	"OnProxyConnectResponse": seesNotSteer,
	"DialContext":            ofTransport,
	"Dial":                   ofTransport,
	"DialTLSContext":         ofTransport,
	"DialTLS":                ofTransport,
	"Resolver":               "the address that it answers with is in the identity",
	"DisableQuarantine":      "bounds reuse, not who shares",
	"DisableLearning":        "bounds reuse, not who shares",
	"Balance":                "each address has an identity; it says which one serves next",
	"Outliers":               "each address has an identity; it says which ones serve",
	"DNSRefresh":             "the address that is in use is in the identity",
	"Dialer":                 ofTransport, // but for a field of it: see dialerFields
	"TLSHandshakeTimeout":    limitOnly,
	"DisableKeepAlives":      limitOnly,
	"MaxIdleConns":           limitOnly,
	"MaxIdleConnsPerHost":    limitOnly,
	"MaxConnsPerHost":        limitOnly,
	"MinIdleConnsPerHost":    keepsReady,
	"DialTimeout":            limitOnly,
	"RetryBudget":            "it bounds how often a request is sent again, and leaves nothing behind on a connection",
	"BodyReadTimeout":        ofExchange,
	"BodyWriteTimeout":       ofExchange,
	"IdleConnTimeout":        limitOnly,
	"MaxConnReuse":           limitOnly,
	"MaxConnStreams":         limitOnly,
	"MaxConnLifetime":        limitOnly,
	"DisableCompression":     ofExchange,
	"ResponseHeaderTimeout":  ofExchange,
	"ExpectContinueTimeout":  ofExchange,
	"MaxResponseHeaderBytes": ofExchange,
	"WriteBufferSize":        ofExchange,
	"ReadBufferSize":         ofExchange,
	"TLSNextProto":           http2Only,
	"ForceAttemptHTTP2":      http2Only,
	"HTTP2":                  http2Only,
	"Protocols":              http2Only,
	"Observer":               seesNotSteer,
}

// dialerFields are those of Transport.Dialer.
var dialerFields = map[string]string{
	"LocalAddr":       inIdentity,
	"Timeout":         limitOnly,
	"Deadline":        limitOnly,
	"FallbackDelay":   limitOnly,
	"KeepAlive":       limitOnly,
	"KeepAliveConfig": limitOnly,
	"Cancel":          limitOnly,
	"Control":         ofTransport,
	"ControlContext":  ofTransport,
	"Resolver":        "the address that it answers with is in the identity",
	"DualStack":       "it is deprecated, and has no effect in package net either",
}

func TestEveryFieldOfADialerIsInTheIdentityOrOutOfItForAReason(t *testing.T) {
	wantClassified(t, reflect.TypeFor[net.Dialer](), dialerFields)
}

func TestEveryFieldOfPeerOptionsIsInTheIdentityOrOutOfItForAReason(t *testing.T) {
	wantClassified(t, reflect.TypeFor[PeerOptions](), peerOptionsFields)
}

func TestEveryLimitOfAPeerReachesThePool(t *testing.T) {
	var tr Transport
	for _, field := range exportedFields(reflect.TypeFor[PeerOptions]()) {
		if peerOptionsFields[field.Name] != limitOnly {
			continue
		}
		var opts PeerOptions
		v := reflect.ValueOf(&opts).Elem().FieldByIndex(field.Index)
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		v.SetInt(7)
		if tr.terms(peerNew(t, opts)) == tr.terms(nil) {
			t.Errorf("PeerOptions.%s changes nothing of what the pool is told: pass it on in Transport.terms (attempt.go)", field.Name)
		}
	}
}

// NewPeer copies what the fields of the options point to.
func TestNoOptionOfAPeerIsSharedWithItsCaller(t *testing.T) {
	cert := httptestutil.NewCA(t).Client("a")
	proxy, idle, protocols := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, time.Minute, new(http.Protocols)
	protocols.SetHTTP1(true)
	opts := PeerOptions{
		ConnectTimeout: &idle, TLSHandshakeTimeout: &idle, DialTimeout: &idle,
		ResponseHeaderTimeout: &idle, BodyReadTimeout: &idle, BodyWriteTimeout: &idle,
		RootCAs: x509.NewCertPool(), ClientCertificate: &cert, Proxy: proxy, IdleTimeout: &idle, Protocols: protocols,
	}
	given, kept := reflect.ValueOf(opts), reflect.ValueOf(peerNew(t, opts).opts)
	for _, field := range exportedFields(given.Type()) {
		switch field.Type.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice:
			a, b := given.FieldByIndex(field.Index), kept.FieldByIndex(field.Index)
			if a.IsNil() {
				t.Errorf("this test does not set PeerOptions.%s: add it here, and copy what it points to in NewPeer (peer.go)", field.Name)
			} else if a.Pointer() == b.Pointer() {
				t.Errorf("PeerOptions.%s is shared with the caller: copy what it points to in NewPeer (peer.go)", field.Name)
			}
		}
	}
}

func TestEveryFieldOfATransportIsInTheIdentityOrOutOfItForAReason(t *testing.T) {
	wantClassified(t, reflect.TypeFor[Transport](), transportFields)
}

func TestEveryFieldOfAnHTTPTransportIsClassified(t *testing.T) {
	for _, field := range exportedFields(reflect.TypeFor[http.Transport]()) {
		if _, ok := transportFields[field.Name]; !ok {
			t.Errorf("http.Transport.%s is not in transportFields of identity_guard_test.go: say there that it is in the identity, or why not",
				field.Name)
		}
	}
}

// wantClassified fails the test unless the table has exactly the fields of typ, and a case of its own for each
// of those that it calls a part of the identity.
func wantClassified(t *testing.T, typ reflect.Type, table map[string]string) {
	t.Helper()
	left := make(map[string]bool)
	for name := range table {
		left[name] = true
	}
	for _, field := range exportedFields(typ) {
		name := typ.Name() + "." + field.Name
		reason, ok := table[field.Name]
		delete(left, field.Name)
		switch {
		case !ok:
			t.Errorf("%s is not in the tables of identity_guard_test.go: say there that it is in the identity, or why not", name)
		case reason == inIdentity && !hasCase(name):
			t.Errorf("%s is said to be in the identity, and no case of identityCases covers it: add one to identity_address_test.go, "+
				"identity_tls_test.go or identity_proxy_test.go", name)
		case reason != inIdentity && hasCase(name):
			t.Errorf("%s is said to be out of the identity, and a case of identityCases changes it", name)
		}
	}
	for name := range left {
		t.Errorf("%s.%s is classified, and does not exist", typ.Name(), name)
	}
}

func hasCase(field string) bool {
	return slices.ContainsFunc(identityCases(), func(c identityCase) bool { return slices.Contains(c.covers, field) })
}

func exportedFields(typ reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(typ), func(f reflect.StructField) bool { return !f.IsExported() })
}

// TestEveryFieldOfAnIdentitySetsItsTLSSessionsApart changes one field after the other: sessions are told apart by
// a text that stands for the whole identity.
func TestEveryFieldOfAnIdentitySetsItsTLSSessionsApart(t *testing.T) {
	seen := map[string]string{(&Identity{}).sessionPrefix(): "no field"}
	typ := reflect.TypeFor[Identity]()
	for i := range typ.NumField() {
		var id Identity
		setAnything(t, settable(&id, i))
		prefix := id.sessionPrefix()
		if other, taken := seen[prefix]; taken {
			t.Errorf("an identity with a %s has the sessions of one with %s: put the field into sessionPrefix (sessions.go)", typ.Field(i).Name, other)
		}
		seen[prefix] = typ.Field(i).Name
	}
}

func TestTheTLSSessionsOfAnIdentityDoNotDependOnWhereAFieldEnds(t *testing.T) {
	a := Identity{proxy: "a", target: `b" target:"c`}
	b := Identity{proxy: `a" target:"b`, target: "c"}
	if a.sessionPrefix() == b.sessionPrefix() {
		t.Error("two identities have the same sessions")
	}
}

// settable returns the i-th field of id, exported or not, to be written.
func settable(id *Identity, i int) reflect.Value {
	field := reflect.ValueOf(id).Elem().Field(i)
	return reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
}

func setAnything(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Array:
		v.Index(0).SetUint(1)
	default:
		t.Fatalf("do not know how to set a %s", v.Type())
	}
}

// TestEveryFieldOfAnIdentityIsSetWhereIdentitiesArePutTogether reads the source: an Identity is put together in planTo
// and nowhere else.
func TestEveryFieldOfAnIdentityIsSetWhereIdentitiesArePutTogether(t *testing.T) {
	var whole []string
	for _, file := range sources(t) {
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				lit, ok := n.(*ast.CompositeLit)
				if !ok {
					return true
				}
				if name, ok := lit.Type.(*ast.Ident); !ok || name.Name != "Identity" || len(lit.Elts) == 0 {
					return true
				}
				switch fn.Name.Name {
				case "planTo":
					whole = keys(lit)
				case "unrouted": // for observers alone
				default:
					t.Errorf("%s puts an Identity together: only planTo (route.go) may", fn.Name.Name)
				}
				return true
			})
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Identity]()) {
		if !slices.Contains(whole, field.Name) {
			t.Errorf("Identity.%s is set by nothing: set it in planTo (route.go)", field.Name)
		}
	}
}

// sources returns the files of this package, without its tests.
func sources(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

func keys(lit *ast.CompositeLit) (names []string) {
	for _, element := range lit.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			names = append(names, pair.Key.(*ast.Ident).Name)
		}
	}
	return names
}

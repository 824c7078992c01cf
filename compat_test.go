package peerpool

import (
	"crypto/tls"
	"net"
	"net/http"
	"reflect"
	"sync"
	"testing"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

func TestEveryFieldOfNetHTTPsTransportIsThereWithItsType(t *testing.T) {
	ours := reflect.TypeFor[Transport]()
	for _, theirs := range exportedFields(reflect.TypeFor[http.Transport]()) {
		if field, ok := ours.FieldByName(theirs.Name); !ok || field.Type != theirs.Type || field.Tag != theirs.Tag {
			t.Errorf("http.Transport has a field %s %v, Transport has %v", theirs.Name, theirs.Type, field.Type)
		}
	}
}

func TestEveryMethodOfNetHTTPsTransportIsThereWithItsType(t *testing.T) {
	ours, theirs := reflect.TypeFor[*Transport](), reflect.TypeFor[*http.Transport]()
	for i := range theirs.NumMethod() {
		want := theirs.Method(i)
		got, ok := ours.MethodByName(want.Name)
		if !ok || signature(got, ours) != signature(want, theirs) {
			t.Errorf("http.Transport has a method %s%s, Transport has %s", want.Name, signature(want, theirs), signature(got, ours))
		}
	}
}

// signature describes a method in a text in which the type that it belongs to is Self.
func signature(m reflect.Method, self reflect.Type) string {
	if m.Type == nil {
		return "none"
	}
	text := "("
	for i := 1; i < m.Type.NumIn(); i++ {
		text += typeName(m.Type.In(i), self) + ","
	}
	text += ")"
	for i := range m.Type.NumOut() {
		text += " " + typeName(m.Type.Out(i), self)
	}
	return text
}

func typeName(typ, self reflect.Type) string {
	if typ == self {
		return "Self"
	}
	return typ.PkgPath() + typ.String()
}

func TestATransportIsARoundTripperAndEndsIdleConnectionsOfAClient(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	client := &http.Client{Transport: &Transport{}}
	resp, err := client.Get(o.URL())
	if err != nil {
		t.Fatal(err)
	}
	httptestutil.ReadSeen(t, resp)
	client.CloseIdleConnections()
	o.WaitOpenConns(0)
}

// filled returns a struct of type T with something in each of its exported fields.
func filled[T any](t *testing.T) *T {
	t.Helper()
	s := new(T)
	v := reflect.ValueOf(s).Elem()
	for i, field := range exportedFields(v.Type()) {
		f := v.FieldByIndex(field.Index)
		f.Set(anything(t, f.Type(), int64(i+1)))
	}
	return s
}

// anything returns a value of a type that is not zero, and for numbers is n.
func anything(t *testing.T, typ reflect.Type, n int64) reflect.Value {
	t.Helper()
	v := reflect.New(typ).Elem()
	switch typ.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(n)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Func:
		v.Set(reflect.MakeFunc(typ, func([]reflect.Value) []reflect.Value { panic(n) }))
	case reflect.Map:
		v.Set(reflect.MakeMap(typ))
		v.SetMapIndex(reflect.ValueOf("Key"), reflect.New(typ.Elem()).Elem())
	case reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		fillSome(v.Interface())
	case reflect.Struct:
		for i := range typ.NumField() {
			v.Field(i).Set(anything(t, typ.Field(i).Type, n))
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(net.DefaultResolver))
	default:
		t.Fatalf("do not know how to fill a %v", typ)
	}
	return v
}

// numberOf returns the number of a function made by anything.
func numberOf(f reflect.Value) (n any) {
	defer func() { n = recover() }()
	var args []reflect.Value
	for i := range f.Type().NumIn() {
		args = append(args, reflect.Zero(f.Type().In(i)))
	}
	f.Call(args)
	return nil
}

// fillSome sets what tells a struct from an empty one.
func fillSome(p any) {
	switch p := p.(type) {
	case *tls.Config:
		p.ServerName, p.NextProtos = "example.test", []string{"http/1.1"}
	case *http.HTTP2Config:
		p.MaxConcurrentStreams = 7
	case *net.Dialer:
		p.Timeout = 7
	case *http.Protocols:
		p.SetHTTP1(true)
	}
}

// wantSame fails the test unless every exported field of want is in got.
func wantSame(t *testing.T, got, want any) {
	t.Helper()
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for _, field := range exportedFields(w.Type()) {
		have, expect := g.FieldByName(field.Name), w.FieldByIndex(field.Index)
		if expect.IsZero() {
			t.Errorf("%s is not set to anything, which shows nothing", field.Name)
		}
		if field.Type.Kind() == reflect.Func {
			if have.IsNil() || numberOf(have) != numberOf(expect) {
				t.Errorf("%s is another function", field.Name)
			}
			continue
		}
		if !reflect.DeepEqual(have.Interface(), expect.Interface()) {
			t.Errorf("%s is %v, want %v", field.Name, have, expect)
		}
	}
}

func TestFromHTTPCarriesEveryFieldOver(t *testing.T) {
	theirs := filled[http.Transport](t)
	wantSame(t, FromHTTP(theirs), theirs)
}

func TestCloneCarriesEveryFieldOver(t *testing.T) {
	tr := filled[Transport](t)
	wantSame(t, tr.Clone(), tr)
}

func TestFromHTTPOfTheDefaultTransportWorksAndKeepsItsLimits(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	theirs := http.DefaultTransport.(*http.Transport)
	tr := peerTransport(t, FromHTTP(theirs))
	tr.TLSClientConfig = o.ClientTLS()
	if tr.IdleConnTimeout != theirs.IdleConnTimeout || tr.MaxIdleConns != theirs.MaxIdleConns {
		t.Errorf("the limits are %v and %d", tr.IdleConnTimeout, tr.MaxIdleConns)
	}
	if seen := peerGet(t, tr, o.URL(), nil); seen.Proto != "HTTP/1.1" {
		t.Errorf("the origin was spoken to in %s", seen.Proto)
	}
}

func TestACloneSharesNothingThatIsChangedLater(t *testing.T) {
	tr := &Transport{
		TLSClientConfig:    &tls.Config{ServerName: "a.test"},
		ProxyConnectHeader: http.Header{"X-A": {"1"}},
		TLSNextProto:       map[string]func(string, *tls.Conn) http.RoundTripper{},
		HTTP2:              &http.HTTP2Config{},
		Protocols:          new(http.Protocols),
		Dialer:             &net.Dialer{},
	}
	c := tr.Clone()
	c.Dialer.Timeout = 7
	c.TLSClientConfig.ServerName = "b.test"
	c.ProxyConnectHeader.Set("X-A", "2")
	c.TLSNextProto["x"] = nil
	c.HTTP2.MaxConcurrentStreams = 7
	c.Protocols.SetHTTP2(true)
	if tr.TLSClientConfig.ServerName != "a.test" || tr.ProxyConnectHeader.Get("X-A") != "1" || len(tr.TLSNextProto) != 0 ||
		tr.HTTP2.MaxConcurrentStreams != 0 || tr.Protocols.HTTP2() || tr.Dialer.Timeout != 0 {
		t.Errorf("the original has changed with its clone: %+v", tr)
	}
}

// TestCloneLeavesTheOriginalAsItIs checks that Clone does not change the original. net/http's Clone may set up HTTP/2 and
// write into the caller's tls.Config.
func TestCloneLeavesTheOriginalAsItIs(t *testing.T) {
	cfg := &tls.Config{ServerName: "a.test"}
	tr := &Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	tr.Clone()
	if tr.TLSClientConfig != cfg || cfg.NextProtos != nil || tr.TLSNextProto != nil {
		t.Errorf("the original has become %+v with ALPN %q", tr.TLSNextProto, cfg.NextProtos)
	}
}

func TestATransportInUseCanBeCloned(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), ForceAttemptHTTP2: true, DisableKeepAlives: true})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := peerTry(tr, peerRequest(t, o.URL(), nil)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			clone := tr.Clone()
			defer clone.CloseIdleConnections()
			if err := peerTry(clone, peerRequest(t, o.URL(), nil)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestACloneHasNoConnectionsOfTheOriginal(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{})
	tr := peerTransport(t, &Transport{})
	peerGet(t, tr, o.URL(), nil)
	clone := peerTransport(t, tr.Clone())
	if seen := peerGet(t, clone, o.URL(), nil); seen.Conn != 2 {
		t.Error("the clone uses a connection of the original")
	}
	tr.CloseIdleConnections()
	if seen := peerGet(t, clone, o.URL(), nil); seen.Conn != 2 || seen.Seq != 2 {
		t.Error("the clone has lost its connection with the original")
	}
}

// The connection has the configuration of the Transport.
func TestNewClientConnOpensAConnectionOutsideThePool(t *testing.T) {
	o := httptestutil.NewOrigin(t, httptestutil.OriginOptions{CA: httptestutil.NewCA(t)})
	tr := peerTransport(t, &Transport{TLSClientConfig: o.ClientTLS(), MaxConnsPerHost: 1})
	for range 2 {
		cc, err := tr.NewClientConn(t.Context(), "https", o.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer cc.Close()
		peerSend(t, cc, peerRequest(t, o.URL(), nil))
	}
	if s := tr.Stats(); s.Opened != 0 {
		t.Errorf("the pool has seen %d connections", s.Opened)
	}
}

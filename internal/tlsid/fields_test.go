package tlsid

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"reflect"
	"testing"
)

func TestEveryFieldOfConfigIsClassifiedOnce(t *testing.T) {
	classified := map[string]bool{}
	for _, f := range fields {
		if classified[f.name] {
			t.Errorf("%s is in the table twice", f.name)
		}
		classified[f.name] = true
		if (f.in == nil) == (f.out == "") {
			t.Errorf("%s must be either in, or out with a reason", f.name)
		}
	}
	exported := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[tls.Config]()) {
		if f.IsExported() {
			exported[f.Name] = true
		}
	}
	for name := range exported {
		if !classified[name] {
			t.Errorf("tls.Config has the field %s, which nobody has classified", name)
		}
	}
	for name := range classified {
		if !exported[name] {
			t.Errorf("tls.Config has no field %s", name)
		}
	}
}

// configured returns a configuration with something in every field that has contents.
func configured(t *testing.T) *tls.Config {
	return &tls.Config{
		Certificates:                   []tls.Certificate{newCertificate(t)},
		RootCAs:                        poolOf(newCA(t)),
		NextProtos:                     []string{"h2", "http/1.1"},
		ServerName:                     "example.com",
		CipherSuites:                   []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		MinVersion:                     tls.VersionTLS12,
		MaxVersion:                     tls.VersionTLS13,
		CurvePreferences:               []tls.CurveID{tls.X25519},
		Renegotiation:                  tls.RenegotiateOnceAsClient,
		EncryptedClientHelloConfigList: []byte{1, 2, 3},
	}
}

// changes returns values for a field of tls.Config, each other than old and than each other.
func changes(t *testing.T, name string, old reflect.Value) []any {
	switch old.Kind() {
	case reflect.Bool:
		return []any{!old.Bool()}
	case reflect.Int:
		return []any{old.Int() + 1, old.Int() + 2}
	case reflect.Uint16:
		return []any{old.Uint() + 1, old.Uint() + 256}
	case reflect.String:
		return []any{"", old.String() + ".", "EXAMPLE.com"}
	case reflect.Array:
		return []any{[32]byte{1}}
	case reflect.Map:
		return []any{map[string]*tls.Certificate{"a": {}}}
	case reflect.Func:
		return []any{stubFunction(old.Type())}
	}
	switch name {
	case "Rand":
		return []any{&bytes.Buffer{}}
	case "KeyLogWriter":
		return []any{io.Discard}
	case "ClientSessionCache":
		return []any{tls.NewLRUClientSessionCache(1)}
	case "RootCAs", "ClientCAs":
		return []any{nil, x509.NewCertPool(), poolOf(newCA(t))}
	case "Certificates":
		first, second := old.Interface().([]tls.Certificate)[0], newCertificate(t)
		return []any{nil, []tls.Certificate{second}, []tls.Certificate{first, second}, []tls.Certificate{second, first}}
	case "NextProtos":
		return []any{nil, []string{"http/1.1", "h2"}, []string{"h2"}, []string{"h2http/1.1"}, []string{"h2", "http/1.1", ""}}
	case "CipherSuites":
		return []any{nil, []uint16{}, []uint16{1}, []uint16{1, 2}}
	case "CurvePreferences":
		return []any{nil, []tls.CurveID{1}, []tls.CurveID{1, 2}}
	case "EncryptedClientHelloConfigList":
		return []any{nil, []byte{}, []byte{1, 2}}
	case "EncryptedClientHelloKeys":
		return []any{[]tls.EncryptedClientHelloKey{{SendAsRetry: true}}}
	}
	t.Fatalf("this test knows no values for the field %s of type %s", name, old.Type())
	return nil
}

// stubFunction returns a function of any type that does nothing.
func stubFunction(of reflect.Type) any {
	return reflect.MakeFunc(of, func([]reflect.Value) []reflect.Value {
		results := make([]reflect.Value, of.NumOut())
		for i := range results {
			results[i] = reflect.Zero(of.Out(i))
		}
		return results
	}).Interface()
}

// with calls do with the field set to value, and puts back what was there.
func with(at reflect.Value, value any, do func()) {
	old := reflect.New(at.Type()).Elem()
	old.Set(at)
	defer at.Set(old)
	if value == nil {
		at.SetZero()
	} else {
		at.Set(reflect.ValueOf(value).Convert(at.Type()))
	}
	do()
}

func TestAnyChangeOfAFieldThatIsInGivesAnotherIDAndItsUndoingTheSame(t *testing.T) {
	cfg := configured(t)
	base := own(cfg)
	seen := map[ID]string{base: "the base"}
	for _, f := range fields {
		if f.in == nil {
			continue
		}
		at := reflect.ValueOf(cfg).Elem().FieldByName(f.name)
		for _, value := range changes(t, f.name, at) {
			with(at, value, func() {
				id := own(cfg)
				if other, ok := seen[id]; ok {
					t.Errorf("%s set to %v has the ID of %s", f.name, value, other)
				}
				seen[id] = f.name
				if again := own(cfg); again != id {
					t.Errorf("%s set to %v has two IDs", f.name, value)
				}
			})
			if own(cfg) != base {
				t.Fatalf("%s put back to what it was left another ID", f.name)
			}
		}
	}
}

func TestAChangeOfAFieldThatIsOutGivesTheSameID(t *testing.T) {
	cfg := configured(t)
	base := own(cfg)
	for _, f := range fields {
		if f.in != nil {
			continue
		}
		at := reflect.ValueOf(cfg).Elem().FieldByName(f.name)
		for _, value := range changes(t, f.name, at) {
			with(at, value, func() {
				if own(cfg) != base {
					t.Errorf("%s is out, but set to %v it changes the ID", f.name, value)
				}
			})
		}
	}
}

func TestAnythingWithoutContentsTiesAConfigurationToItsObject(t *testing.T) {
	tying := 0
	for _, f := range fields {
		one, other := &tls.Config{}, &tls.Config{}
		at := reflect.ValueOf(one).Elem().FieldByName(f.name)
		if kind := at.Kind(); f.in == nil || kind != reflect.Func && kind != reflect.Interface {
			continue
		}
		tying++
		value := reflect.ValueOf(changes(t, f.name, at)[0])
		at.Set(value)
		reflect.ValueOf(other).Elem().FieldByName(f.name).Set(value)
		if own(one) == own(other) {
			t.Errorf("two objects with %s set are equal", f.name)
		}
	}
	if tying != 7 {
		t.Errorf("%d fields of tls.Config have no contents, want 7", tying)
	}
}

func TestNilAndEmptyAreEqualWhereTLSDoesNotTellThemApart(t *testing.T) {
	unset, empty := &tls.Config{}, &tls.Config{
		Certificates: []tls.Certificate{}, NextProtos: []string{}, CurvePreferences: []tls.CurveID{},
	}
	if own(unset) != own(empty) {
		t.Error("empty lists that mean the default have another ID than nil")
	}
}

func TestTheOrderOfCipherSuitesAndCurvesDoesNotMatter(t *testing.T) {
	one := &tls.Config{CipherSuites: []uint16{1, 2, 3}, CurvePreferences: []tls.CurveID{23, 24}}
	other := &tls.Config{CipherSuites: []uint16{3, 1, 2, 2}, CurvePreferences: []tls.CurveID{24, 23}}
	if own(one) != own(other) {
		t.Error("crypto/tls ignores this order, the ID does not")
	}
	if other.CipherSuites[0] != 3 {
		t.Error("the caller's list was sorted")
	}
}

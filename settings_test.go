package peerpool

import (
	"net/url"
	"reflect"
	"testing"
)

// The test changes one setting after the other. Each counts from the next exchange on.
func TestEverySettingOfAnExchangeReachesIt(t *testing.T) {
	for _, field := range exportedFields(reflect.TypeFor[Transport]()) {
		if transportFields[field.Name] != ofExchange {
			continue
		}
		var tr Transport
		tr.use()
		r := &route{plan: plan{peer: &noOptions, t: &tr}}
		before := *r.exchangeOptions()
		setOther(t, reflect.ValueOf(&tr).Elem().FieldByIndex(field.Index))
		if reflect.DeepEqual(*r.exchangeOptions(), before) {
			t.Errorf("Transport.%s changes no option of an exchange: carry it over in optionsOf and compare it in Transport.asks "+
				"(settings.go)", field.Name)
		}
	}
}

// The test looks at the options of a Transport in which no field is zero.
func TestEveryOptionOfAnExchangeIsSetBySomething(t *testing.T) {
	var tr Transport
	for _, field := range exportedFields(reflect.TypeFor[Transport]()) {
		if transportFields[field.Name] == ofExchange && field.Name != "DisableCompression" { // false asks for gzip
			setOther(t, reflect.ValueOf(&tr).Elem().FieldByIndex(field.Index))
		}
	}
	tr.DisableKeepAlives = true
	r := &route{plan: plan{t: &tr, peer: &PeerOptions{Group: "a"}, via: &proxyHop{proxyChoice: proxyChoice{url: &url.URL{User: url.UserPassword("a", "b")}}}}}
	tr.use()
	v := reflect.ValueOf(*r.exchangeOptions())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("http1.Options.%s is set by no field of a Transport: set it in optionsOf (settings.go)",
				v.Type().Field(i).Name)
		}
	}
}

// setOther gives a field another value than it has.
func setOther(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 4096)
	default:
		t.Fatalf("do not know how to change a %s", v.Type())
	}
}

// The sizes of buffers are an exception: HTTP2Config has its own.
func TestEverySettingOfAnExchangeReachesHTTP2(t *testing.T) {
	for _, field := range exportedFields(reflect.TypeFor[Transport]()) {
		if transportFields[field.Name] != ofExchange || field.Name == "ReadBufferSize" || field.Name == "WriteBufferSize" {
			continue
		}
		var tr Transport
		before, limits := tr.http2Config(), tr.limits()
		setOther(t, reflect.ValueOf(&tr).Elem().FieldByIndex(field.Index))
		if tr.http2Config() == before && tr.limits() == limits {
			t.Errorf("Transport.%s changes nothing of an exchange over HTTP/2: give http2.Config the field (internal/http2/engine.go), and "+
				"set it in http2Config (protocols.go), or exchange.Limits, and set it in limits (limits.go)", field.Name)
		}
	}
}

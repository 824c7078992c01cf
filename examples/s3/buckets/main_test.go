package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

const answer = `<?xml version="1.0" encoding="UTF-8"?>
<ListAllMyBucketsResult><Buckets><Bucket><Name>first</Name></Bucket></Buckets></ListAllMyBucketsResult>`

func TestTheProgramListsBuckets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
	}
	if got, want := printed(t, main), "first\nconnections: 1\n"; got != want {
		t.Errorf("the program prints %q, want %q", got, want)
	}
}

// printed returns what f prints.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	f()
	os.Stdout = stdout
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
)

// service answers each SDK as its service would, over HTTPS, with HTTP/2 or HTTP/1.1 as the SDK chooses.
type service struct {
	*httptest.Server
	requests atomic.Int64
}

func startService() *service {
	s := &service{}
	mux := http.NewServeMux()
	for pattern, answer := range map[string]string{
		"/plain":                        "ok",
		"/kubernetes/api/v1/namespaces": `{"kind":"NamespaceList","apiVersion":"v1","metadata":{},"items":[]}`,
		"/vault/v1/secret/name":         `{"data":{"key":"value"}}`,
		"/_ping":                        "OK",
		"/google/v1/webfonts":           `{"items":[]}`,
		"/bucket/":                      "",
		"/aws/":                         `<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>`,
		"/v2/":                          "{}",
		"/v2/image/tags/list":           `{"name":"image","tags":["latest"]}`,
		"/prometheus/api/v1/query":      `{"status":"success","data":{"resultType":"vector","result":[]}}`,
		"/git/info/refs":                advertised("0123456789abcdef0123456789abcdef01234567"),
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(answer, "{"):
				w.Header().Set("Content-Type", "application/json")
			case strings.HasPrefix(answer, "<"):
				w.Header().Set("Content-Type", "application/xml")
			case pattern == "/git/info/refs":
				w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			case pattern == "/_ping":
				w.Header().Set("Api-Version", "1.44")
			}
			io.WriteString(w, answer)
		})
	}
	var tries atomic.Int64
	mux.HandleFunc("/unavailable-at-first", func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "body" {
			http.Error(w, "that is not the body", http.StatusBadRequest)
			return
		}
		if tries.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok")
	})
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		mux.ServeHTTP(w, r)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func (s *service) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return roots
}

// advertised is how a git server announces its only branch.
func advertised(commit string) string {
	line := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	return line("# service=git-upload-pack\n") + "0000" +
		line(commit+" HEAD\x00agent=git/2\n") + line(commit+" refs/heads/main\n") + "0000"
}

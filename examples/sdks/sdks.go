package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azure "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/go-git/go-git/v5"
	gitconfig "github.com/go-git/go-git/v5/config"
	gitclient "github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/hashicorp/go-retryablehttp"
	vault "github.com/hashicorp/vault/api"
	"github.com/minio/minio-go/v7"
	miniocredentials "github.com/minio/minio-go/v7/pkg/credentials"
	docker "github.com/moby/moby/client"
	prometheus "github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"google.golang.org/api/option"
	"google.golang.org/api/webfonts/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"resty.dev/v3"

	"github.com/peerpool/peerpool"
)

type maker = func(*peerpool.Transport, *service) (func(context.Context) error, error)

// sdks holds the code for each SDK, by the name that docs/migration.md has for it.
var sdks = map[string]maker{
	"AWS SDK for Go v2":     withAWS,
	"Azure SDK":             withAzure,
	"client-go":             withKubernetes,
	"Docker client":         withDocker,
	"go-containerregistry":  withRegistry,
	"go-git":                withGit,
	"go-retryablehttp":      withRetryable,
	"Google API client":     withGoogle,
	"minio-go":              withMinio,
	"Prometheus API client": withPrometheus,
	"resty v3":              withResty,
	"Vault API client":      withVault,
}

func withKubernetes(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	client, err := dynamic.NewForConfig(&rest.Config{Host: s.URL + "/kubernetes", Transport: t, QPS: -1})
	if err != nil {
		return nil, err
	}
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	return func(ctx context.Context) error {
		_, err := namespaces.List(ctx, metav1.ListOptions{})
		return err
	}, nil
}

func withRetryable(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	client := retryablehttp.NewClient()
	client.HTTPClient = peerpool.NewClient(t)
	client.HTTPClient.Timeout = 30 * time.Second
	client.Logger, client.RetryWaitMin = nil, time.Millisecond
	return func(ctx context.Context) error {
		req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/unavailable-at-first", []byte("body"))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		return drained(resp, err)
	}, nil
}

// Vault's client asserts the type *http.Transport, and sets fields.
func withVault(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	cfg := vault.DefaultConfig()
	if cfg.Error != nil {
		return nil, cfg.Error
	}
	cfg.Address = s.URL + "/vault"
	cfg.HttpClient.Transport = t.HTTPTransport()
	client, err := vault.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	client.SetMaxIdleConnections(100) // panics for any other type
	return func(ctx context.Context) error {
		_, err := client.Logical().ReadWithContext(ctx, "secret/name")
		return err
	}, nil
}

// WithHost must come first in Docker's client, because it configures only an *http.Transport, and WithHTTPClient clones that. If the
// daemon listens on a Unix socket, use a Peer: see unixDocker.
func withDocker(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	client, err := docker.New(
		docker.WithHost("tcp://"+s.Listener.Addr().String()),
		docker.WithHTTPClient(&http.Client{Transport: t}),
		docker.WithScheme("https"),
	)
	if err != nil {
		return nil, err
	}
	return pingDocker(client), nil
}

// unixDocker is for a daemon that listens on a Unix socket.
func unixDocker(t *peerpool.Transport, socket string) (func(context.Context) error, error) {
	daemon, err := peerpool.NewPeer(peerpool.PeerOptions{Addr: "unix:" + socket})
	if err != nil {
		return nil, err
	}
	client, err := docker.New(docker.WithHost("unix://"+socket), docker.WithHTTPClient(&http.Client{Transport: toPeer{t, daemon}}))
	if err != nil {
		return nil, err
	}
	return pingDocker(client), nil
}

// toPeer sends all requests to one peer.
type toPeer struct {
	t    *peerpool.Transport
	peer *peerpool.Peer
}

func (p toPeer) RoundTrip(req *http.Request) (*http.Response, error) {
	return p.t.RoundTrip(req.WithContext(peerpool.WithPeer(req.Context(), p.peer)))
}

func pingDocker(client *docker.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := client.Ping(ctx, docker.PingOptions{})
		return err
	}
}

func withResty(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	return getResty(resty.NewWithClient(&http.Client{Transport: t}), s), nil
}

// restyWithTLS is for programs that use resty's methods for TLS or proxies. These need an *http.Transport.
func restyWithTLS(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	client := resty.NewWithClient(&http.Client{Transport: t.HTTPTransport()})
	client.SetTLSClientConfig(&tls.Config{RootCAs: s.roots()})
	return getResty(client, s), nil
}

func getResty(client *resty.Client, s *service) func(context.Context) error {
	return func(ctx context.Context) error {
		resp, err := client.R().SetContext(ctx).Get(s.URL + "/plain")
		if err == nil && resp.StatusCode() != http.StatusOK {
			err = fmt.Errorf("status %s", resp.Status())
		}
		return err
	}
}

// Google's clients leave authentication to the given client.
func withGoogle(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	fonts, err := webfonts.NewService(context.Background(),
		option.WithHTTPClient(&http.Client{Transport: t}), option.WithEndpoint(s.URL+"/google/"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := fonts.Webfonts.List().Context(ctx).Do()
		return err
	}, nil
}

func withMinio(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	client, err := minio.New(s.Listener.Addr().String(), &minio.Options{
		Creds: miniocredentials.NewStaticV4("key", "secret", ""), Secure: true, Region: "us-east-1",
		BucketLookup: minio.BucketLookupPath, Transport: t,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		found, err := client.BucketExists(ctx, "bucket")
		if err == nil && !found {
			err = fmt.Errorf("there is no bucket")
		}
		return err
	}, nil
}

// go-git asserts the type *http.Transport only for options of an endpoint (InsecureSkipTLS, CABundle, ClientCert, ProxyOptions), and
// then uses a Clone of it. Set these options on the Transport, or in a Peer.
func withGit(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	gitclient.InstallProtocol("https", githttp.NewClient(&http.Client{Transport: t}))
	return func(ctx context.Context) error {
		origin := git.NewRemote(memory.NewStorage(), &gitconfig.RemoteConfig{Name: "origin", URLs: []string{s.URL + "/git"}})
		_, err := origin.ListContext(ctx, &git.ListOptions{})
		return err
	}, nil
}

func withAWS(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	if os.Getenv("AWS_CA_BUNDLE") != "" {
		return nil, errors.New("AWS_CA_BUNDLE is set: unset it, and put its roots into Transport.TLSClientConfig")
	}
	cfg, err := config.LoadDefaultConfig(context.Background(),
		config.WithHTTPClient(&http.Client{Transport: t}),
		config.WithRegion("us-east-1"),
		config.WithCredentialsProvider(awscredentials.NewStaticCredentialsProvider("key", "secret", "")),
	)
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint = aws.String(s.URL + "/aws") })
	return func(ctx context.Context) error {
		_, err := client.ListBuckets(ctx, &s3.ListBucketsInput{})
		return err
	}, nil
}

func withAzure(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	client, err := azcore.NewClient("example", "v1.0.0", azure.PipelineOptions{}, &policy.ClientOptions{
		Transport: &http.Client{Transport: t},
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		req, err := azure.NewRequest(ctx, http.MethodGet, s.URL+"/plain")
		if err != nil {
			return err
		}
		resp, err := client.Pipeline().Do(req)
		return drained(resp, err)
	}, nil
}

func withRegistry(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	repository, err := name.NewRepository(s.Listener.Addr().String() + "/image")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, err := remote.List(repository, remote.WithTransport(t), remote.WithContext(ctx))
		return err
	}, nil
}

func withPrometheus(t *peerpool.Transport, s *service) (func(context.Context) error, error) {
	client, err := prometheus.NewClient(prometheus.Config{Address: s.URL + "/prometheus", RoundTripper: t})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		_, _, _, err := prometheusv1.NewAPI(client).Query(ctx, "up", time.Now())
		return err
	}, nil
}

// drained reads a response to its end. It returns an error if the status is not a success.
func drained(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

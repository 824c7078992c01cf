// Command s3 uses the AWS SDK on peerpool. It puts a thousand objects into a bucket, lists them, reads them back, and uploads one
// in parts. It does the same on net/http and prints both results.
//
//	go run ./s3
//	go run ./s3 -endpoint https://s3.eu-central-1.amazonaws.com -region eu-central-1 -bucket mine
//
// Without -endpoint, it runs versitygw, an S3 gateway in front of a folder, on loopback. It builds versitygw first if it is not
// installed. With -endpoint, it uses the credentials that the SDK finds. It removes only the objects that it has put into the
// bucket.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/peerpool/peerpool/examples/internal/report"
)

func main() {
	var e endpoint
	var load workload
	flag.StringVar(&e.url, "endpoint", "", "URL of an S3 service; empty: one is started")
	flag.StringVar(&e.region, "region", "us-east-1", "its region")
	flag.StringVar(&load.bucket, "bucket", "peerpool-example", "bucket to use; made if it is missing")
	flag.IntVar(&load.objects, "objects", 1000, "how many objects to put")
	flag.IntVar(&load.workers, "workers", 16, "how many requests at a time")
	flag.Parse()
	load.objectSize, load.partSize, load.parts = 4<<10, 5<<20, 3

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, e, load); err != nil {
		fmt.Fprintln(os.Stderr, "s3:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, e endpoint, load workload) error {
	if e.url == "" {
		gateway, err := startGateway(ctx, w)
		if err != nil {
			return err
		}
		defer gateway.stop()
		e = gateway.endpoint
	}
	_, err := compare(ctx, w, e, load)
	return err
}

// compare runs the workload with an S3 client on net/http and with one on peerpool.
func compare(ctx context.Context, w io.Writer, e endpoint, load workload) ([]report.Result, error) {
	work := func(ctx context.Context, m *report.Meter) error {
		client, err := newClient(ctx, e, m)
		if err != nil {
			return err
		}
		return load.run(ctx, client)
	}
	return report.Compare(ctx, w, work, report.NetHTTP(), report.Peerpool())
}

// endpoint is an S3 service and how to log in to it.
type endpoint struct {
	url, region string
	credentials aws.CredentialsProvider // nil: the SDK looks for them
}

// newClient returns an S3 client that uses the given RoundTripper. Nothing else is needed.
func newClient(ctx context.Context, e endpoint, rt http.RoundTripper) (*s3.Client, error) {
	// The SDK can add the roots in this file only to its own HTTP client, and fails with any other client.
	if os.Getenv("AWS_CA_BUNDLE") != "" {
		return nil, errors.New("AWS_CA_BUNDLE is set: unset it, and put its roots into Transport.TLSClientConfig")
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(e.region),
		config.WithHTTPClient(&http.Client{Transport: rt}),
		config.WithCredentialsProvider(e.credentials),
	)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint = aws.String(e.url)
		o.UsePathStyle = true // the bucket in the path: a service on loopback has no host names for buckets
	}), nil
}

// static returns the credentials of the gateway that this program starts.
func static(key, secret string) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(key, secret, "")
}

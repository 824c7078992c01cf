// Command buckets lists the buckets of an S3 account with the AWS SDK, over peerpool. The SDK reads its
// settings from the environment, or from the files in ~/.aws.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/peerpool/peerpool"
)

func main() {
	ctx := context.Background()
	transport := peerpool.New()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		log.Fatal(err)
	}
	client := s3.NewFromConfig(cfg)

	list, err := client.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil {
		log.Fatal(err)
	}
	for _, bucket := range list.Buckets {
		fmt.Println(aws.ToString(bucket.Name))
	}
	fmt.Println("connections:", transport.Stats().Opened)
}

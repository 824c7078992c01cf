package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/peerpool/peerpool/examples/internal/report"
)

// prefix is the beginning of the names of our objects. Other objects in the bucket stay as they are.
const prefix = "peerpool-example/"

// workload says what to do with a bucket. Sizes are in bytes.
type workload struct {
	bucket     string
	objects    int
	objectSize int
	parts      int
	partSize   int // S3 requires at least 5 MiB for every part except the last
	workers    int // requests at a time
}

// run puts, lists, reads and removes objects, and uploads one in parts. It checks that it reads back what it has put.
func (l workload) run(ctx context.Context, client *s3.Client) error {
	if err := l.makeBucket(ctx, client); err != nil {
		return fmt.Errorf("bucket %s: %w", l.bucket, err)
	}
	steps := []struct {
		name string
		do   func(context.Context, *s3.Client) error
	}{
		{"put", l.put}, {"list", l.list}, {"read", l.read}, {"multipart upload", l.multipart}, {"remove", l.remove},
	}
	for _, step := range steps {
		if err := step.do(ctx, client); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (l workload) makeBucket(ctx context.Context, client *s3.Client) error {
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &l.bucket})
	var mine *types.BucketAlreadyOwnedByYou
	if errors.As(err, &mine) {
		return nil
	}
	return err
}

func key(i int) string { return fmt.Sprintf("%s%05d", prefix, i) }

// content returns size bytes that differ for each object.
func content(i, size int) []byte {
	var seed [32]byte
	copy(seed[:], key(i))
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(b) // never fails
	return b
}

func (l workload) put(ctx context.Context, client *s3.Client) error {
	return report.Each(ctx, l.workers, l.objects, func(ctx context.Context, i int) error {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &l.bucket, Key: aws.String(key(i)), Body: bytes.NewReader(content(i, l.objectSize)),
		})
		return err
	})
}

func (l workload) list(ctx context.Context, client *s3.Client) error {
	found := 0
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: &l.bucket, Prefix: aws.String(prefix), MaxKeys: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		found += len(page.Contents)
	}
	if found != l.objects {
		return fmt.Errorf("%d objects are there, not %d", found, l.objects)
	}
	return nil
}

func (l workload) read(ctx context.Context, client *s3.Client) error {
	return report.Each(ctx, l.workers, l.objects, func(ctx context.Context, i int) error {
		got, err := l.get(ctx, client, key(i))
		if err == nil && !bytes.Equal(got, content(i, l.objectSize)) {
			err = fmt.Errorf("%s is not what was put there", key(i))
		}
		return err
	})
}

func (l workload) get(ctx context.Context, client *s3.Client, key string) ([]byte, error) {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// multipart uploads the parts of one object at the same time, and reads it back.
func (l workload) multipart(ctx context.Context, client *s3.Client) error {
	name := aws.String(prefix + "parts")
	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &l.bucket, Key: name})
	if err != nil {
		return err
	}
	done := make([]types.CompletedPart, l.parts)
	err = report.Each(ctx, l.workers, l.parts, func(ctx context.Context, i int) error {
		number := aws.Int32(int32(i) + 1)
		out, err := client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &l.bucket, Key: name, UploadId: upload.UploadId,
			PartNumber: number, Body: bytes.NewReader(content(i, l.partSize)),
		})
		if err == nil {
			done[i] = types.CompletedPart{PartNumber: number, ETag: out.ETag}
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &l.bucket, Key: name, UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		return err
	}
	return l.checkParts(ctx, client, *name)
}

func (l workload) checkParts(ctx context.Context, client *s3.Client, name string) error {
	got, err := l.get(ctx, client, name)
	if err != nil {
		return err
	}
	want := sha256.New()
	for i := range l.parts {
		want.Write(content(i, l.partSize))
	}
	if sum := sha256.Sum256(got); !bytes.Equal(sum[:], want.Sum(nil)) {
		return fmt.Errorf("%d bytes came back that are not those of the parts", len(got))
	}
	return nil
}

func (l workload) remove(ctx context.Context, client *s3.Client) error {
	return report.Each(ctx, l.workers, l.objects+1, func(ctx context.Context, i int) error {
		name := key(i)
		if i == l.objects {
			name = prefix + "parts"
		}
		_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &l.bucket, Key: &name})
		return err
	})
}

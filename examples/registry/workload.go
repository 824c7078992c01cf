package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/peerpool/peerpool/examples/internal/report"
)

// workload says what to push and pull.
type workload struct {
	repository string
	images     int
	layers     int   // of each image
	layerSize  int64 // in bytes
	jobs       int   // layers of an image at a time
	workers    int   // images at a time
}

// run pushes each image, and pulls it and compares it with what was pushed.
func (l workload) run(ctx context.Context, rt http.RoundTripper) error {
	return report.Each(ctx, l.workers, l.images, func(ctx context.Context, i int) error {
		tag, err := name.NewTag(fmt.Sprintf("%s:image-%d", l.repository, i))
		if err != nil {
			return err
		}
		image, err := random.Image(l.layerSize, int64(l.layers))
		if err != nil {
			return err
		}
		options := []remote.Option{
			remote.WithTransport(rt), // nothing else is needed
			remote.WithContext(ctx),
			remote.WithJobs(l.jobs),
			remote.WithAuthFromKeychain(authn.DefaultKeychain),
		}
		if err := remote.Write(tag, image, options...); err != nil {
			return fmt.Errorf("push of %s: %w", tag, err)
		}
		if err := pull(tag, image, options); err != nil {
			return fmt.Errorf("pull of %s: %w", tag, err)
		}
		return nil
	})
}

// pull reads an image to its end, and checks that it is the one that was pushed.
func pull(tag name.Tag, pushed v1.Image, options []remote.Option) error {
	pulled, err := remote.Image(tag, options...)
	if err != nil {
		return err
	}
	// While its layers are read, the image checks them against the digests in its manifest.
	if err := validate.Image(pulled); err != nil {
		return err
	}
	got, err := pulled.Digest()
	if err != nil {
		return err
	}
	want, err := pushed.Digest()
	if err == nil && got != want {
		err = fmt.Errorf("the image is %s, not %s", got, want)
	}
	return err
}

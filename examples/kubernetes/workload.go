package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/peerpool/peerpool/examples/internal/report"
)

// within limits the time of a workload, so that a silent watch ends it.
const within = 2 * time.Minute

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	words       = schema.GroupVersionResource{Group: "example.peerpool.dev", Version: "v1", Resource: "words"}
)

// workload says how many objects are made, and by how many callers.
type workload struct {
	objects int // around the rotation, and as many after it
	workers int
}

// prepare waits for the API server and defines the resource. Then it runs the workload once with a client that is used only
// here, because the first client would pay for what the server sets up at first.
func prepare(ctx context.Context, cluster *cluster, load workload) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c := newNetHTTP(cluster.ca)
	defer c.meter.CloseIdleConnections()
	if err := c.rotate(1); err != nil {
		return err
	}
	api, err := c.connect(cluster.url)
	if err != nil {
		return err
	}
	if err := define(ctx, api); err != nil {
		return err
	}
	_, err = load.run(ctx, cluster, c)
	return err
}

// run makes, reads and removes objects beside a watch, and rotates the client's certificate meanwhile. Then it does the same
// again. It returns the number of calls after the rotation, by user.
func (l workload) run(ctx context.Context, cluster *cluster, c *client) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := c.rotate(1); err != nil {
		return nil, err
	}
	api, err := c.connect(cluster.url)
	if err != nil {
		return nil, err
	}
	watching, err := api.Resource(words).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	defer watching.Stop()

	err = l.shortCalls(ctx, api, watching, "before", func(i int) error {
		if i == l.objects/2 { // with the calls of other workers under way
			return c.rotate(2)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	before, err := readAudit(cluster.audit)
	if err != nil {
		return nil, err
	}
	err = l.shortCalls(ctx, api, watching, "after", func(int) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("after the rotation: %w", err)
	}
	all, err := readAudit(cluster.audit)
	if err != nil {
		return nil, err
	}
	return all[len(before):].users(), nil
}

// shortCalls makes, reads and removes the objects, and waits until the watch has reported each of them. The watch must not
// have ended. Before the first call for an object, shortCalls calls begin with the object's number.
func (l workload) shortCalls(ctx context.Context, api dynamic.Interface, watching watch.Interface, when string, begin func(int) error) error {
	err := report.Each(ctx, l.workers, l.objects, func(ctx context.Context, i int) error {
		if err := begin(i); err != nil {
			return err
		}
		return oneObject(ctx, api, fmt.Sprintf("%s-%d", when, i))
	})
	if err != nil {
		return err
	}
	for gone := 0; gone < l.objects; {
		select {
		case event, ok := <-watching.ResultChan():
			if !ok {
				return errors.New("the watch has ended")
			}
			if event.Type == watch.Error {
				return apierrors.FromObject(event.Object)
			}
			if event.Type == watch.Deleted {
				gone++
			}
		case <-ctx.Done():
			return fmt.Errorf("the watch has told of %d objects of %d: %w", gone, l.objects, ctx.Err())
		}
	}
	return nil
}

func oneObject(ctx context.Context, api dynamic.Interface, name string) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": words.GroupVersion().String(), "kind": "Word",
		"metadata": map[string]any{"name": name},
		"text":     name,
	}}
	if _, err := api.Resource(words).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	got, err := api.Resource(words).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if text, _, _ := unstructured.NestedString(got.Object, "text"); text != name {
		return fmt.Errorf("%s has the text %q", name, text)
	}
	return api.Resource(words).Delete(ctx, name, metav1.DeleteOptions{})
}

// define defines the resource and waits until the API server serves it.
func define(ctx context.Context, api dynamic.Interface) error {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		_, err := api.Resource(definitions).Create(ctx, definition(), metav1.CreateOptions{})
		if err == nil || apierrors.IsAlreadyExists(err) {
			_, err = api.Resource(words).List(ctx, metav1.ListOptions{})
		}
		if err == nil {
			return nil
		}
		// A new server refuses calls until its storage is ready.
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func definition() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": words.GroupResource().String()},
		"spec": map[string]any{
			"group": words.Group,
			"scope": "Cluster",
			"names": map[string]any{"plural": words.Resource, "singular": "word", "kind": "Word", "listKind": "WordList"},
			"versions": []any{map[string]any{
				"name": words.Version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type":       "object",
					"properties": map[string]any{"text": map[string]any{"type": "string"}},
				}},
			}},
		},
	}}
}

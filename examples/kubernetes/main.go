// Command kubernetes uses client-go on peerpool. It makes short calls beside a watch, over HTTP/2 with mutual TLS, and rotates the
// client's certificate meanwhile. The program is not restarted, the watch continues, and all calls after the rotation use the new
// certificate. It does the same on net/http and prints both results.
//
//	go run ./kubernetes
//
// The API server is the one of the API extensions, with its own etcd. The command builds the API server if it is not installed.
// etcd must be installed.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/peerpool/peerpool/examples/internal/report"
	"github.com/peerpool/peerpool/examples/internal/server"
)

func main() {
	var load workload
	flag.IntVar(&load.objects, "objects", 200, "how many objects to make around the rotation, and how many after it")
	flag.IntVar(&load.workers, "workers", 8, "how many calls at a time")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, load); err != nil {
		fmt.Fprintln(os.Stderr, "kubernetes:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, load workload) error {
	etcd, err := server.Etcd.Find()
	if err != nil {
		return err
	}
	apiserver, err := server.Extensions.FindOrBuild(ctx, w)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peerpool-kubernetes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cluster, err := startCluster(ctx, etcd, apiserver, dir)
	if err != nil {
		return err
	}
	defer cluster.stop()
	_, err = compare(ctx, w, cluster, load)
	return err
}

// outcome is the result of the workload on one Transport.
type outcome struct {
	report.Result
	calls   int            // after the rotation
	renewed int            // of them, under the new certificate
	users   map[string]int // calls that the API server has logged after the rotation, by user
}

// compare runs the workload with client-go on net/http and on peerpool.
func compare(ctx context.Context, w io.Writer, cluster *cluster, load workload) ([]outcome, error) {
	if err := prepare(ctx, cluster, load); err != nil {
		return nil, err
	}
	theirs, ours := newNetHTTP(cluster.ca), newPeerpool(cluster.ca)
	clients := map[*report.Meter]*client{theirs.meter: theirs, ours.meter: ours}
	var outcomes []outcome
	work := func(ctx context.Context, m *report.Meter) error {
		users, err := load.run(ctx, cluster, clients[m])
		outcomes = append(outcomes, outcome{users: users, renewed: users[clients[m].user(2)]})
		return err
	}
	results, err := report.Compare(ctx, w, work, theirs.meter, ours.meter)
	if err != nil {
		return outcomes, err
	}
	fmt.Fprintln(w)
	for i := range outcomes {
		o := &outcomes[i]
		o.Result = results[i]
		for _, n := range o.users {
			o.calls += n
		}
		fmt.Fprintf(w, "%s: %d of %d calls after the rotation were made under the new certificate\n", o.Name, o.renewed, o.calls)
	}
	return outcomes, nil
}

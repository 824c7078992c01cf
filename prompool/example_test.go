package prompool_test

import (
	"fmt"

	"github.com/peerpool/peerpool"
	"github.com/peerpool/peerpool/prompool"
	"github.com/prometheus/client_golang/prometheus"
)

// The label pool distinguishes two Transports.
func ExampleNew() {
	registry := prometheus.NewRegistry()
	for _, name := range []string{"billing", "search"} {
		transport := &peerpool.Transport{}
		collector := prompool.New(transport, prompool.WithName(name))
		transport.Observer = collector.Observer()
		registry.MustRegister(collector)
	}
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, family := range families {
		if family.GetName() != "peerpool_connections_opened_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			fmt.Println(m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
		}
	}
	// Output:
	// billing 0
	// search 0
}

package main

import "testing"

func TestCallsAndStreamsOfEveryKindShareFewConnections(t *testing.T) {
	load := workload{calls: 300, messages: 20, workers: 16}
	all, err := run(t.Context(), t.Output(), load)
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range ways {
		r := all[way.name][1]
		if r.Failed != 0 || r.Retries != 0 {
			t.Errorf("%s: %d requests failed, %d were retried", way.name, r.Failed, r.Retries)
		}
		most := load.workers // HTTP/2 shares a connection; the first ones are dialed before it is known that it can be
		if !way.bidi {
			most = r.Requests / 4 // a request that another one's connection served leaves its dial behind
		}
		if r.Connections == 0 || r.Connections > most {
			t.Errorf("%s: %d connections for %d calls at a time", way.name, r.Connections, load.workers)
		}
	}
}

package main

import "testing"

func TestSoakPrintsItsLedger(t *testing.T) {
	got := command(t.Context(), "soak", "-n", "300", "-c", "8", "-seed", "7")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "seed 7", "300 requests", "0  answers that belong to another request", "0  requests that failed although",
		"0  requests executed twice", "0  uploads that arrived changed", "0  connections shared by tenants")
}

func TestSoakRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{{"-n", "0"}, {"-seed", "x"}, {"http://127.0.0.1"}, {"-x"}} {
		wantCode(t, command(t.Context(), append([]string{"soak"}, args...)...), exitUsage)
	}
}

// Package parity holds tests that run the same scenario with net/http's Transport and with ours, through the public API, and
// compare all that a program can see of the two.
package parity

// Package observe_test tests what the Transport tells: Stats, Observer, Report and httptrace.
package observe_test

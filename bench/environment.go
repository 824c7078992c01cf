package main

import (
	"runtime"
	"runtime/debug"
	"time"
)

// environmentReport is what the figures hold for.
type environmentReport struct {
	Started  time.Time `json:"started"`
	Go       string    `json:"go"`
	OS       string    `json:"os"`
	Arch     string    `json:"arch"`
	CPUs     int       `json:"cpus"`
	FastHTTP string    `json:"fasthttp"`
	Hertz    string    `json:"hertz"`
	Commit   string    `json:"commit,omitempty"` // of peerpool
	Rounds   int       `json:"rounds"`
	Note     string    `json:"note,omitempty"`
}

func environment(rounds int) environmentReport {
	e := environmentReport{
		Started: time.Now(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		FastHTTP: "(unknown version)", Hertz: "(unknown version)", Rounds: rounds,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			switch m.Path {
			case "github.com/valyala/fasthttp":
				e.FastHTTP = m.Version
			case "github.com/cloudwego/hertz":
				e.Hertz = m.Version
			}
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				e.Commit = s.Value
			}
		}
	}
	if _, _, ok := processTimes(); !ok {
		e.Note = "This system has no getrusage: the columns of CPU time, and the ratios of it, are empty."
	}
	return e
}

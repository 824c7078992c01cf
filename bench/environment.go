package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// environmentReport is what the figures hold for.
type environmentReport struct {
	Started  time.Time         `json:"started"`
	Go       string            `json:"go"`
	OS       string            `json:"os"`
	Arch     string            `json:"arch"`
	CPU      string            `json:"cpu,omitempty"` // its name
	CPUs     int               `json:"cpus"`
	Versions map[string]string `json:"versions"`         // of the candidates that are modules or crates
	Commit   string            `json:"commit,omitempty"` // of peerpool
	Rounds   int               `json:"rounds"`
	Short    bool              `json:"short,omitempty"` // the figures mean nothing
	Note     string            `json:"note,omitempty"`
}

// candidateModules are the modules whose versions a report names.
var candidateModules = map[string]candidate{
	"github.com/valyala/fasthttp": fastHTTP, "github.com/cloudwego/hertz": hertz,
}

func environment(s settings) environmentReport {
	e := environmentReport{
		Started: time.Now(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPU: cpuName(), CPUs: runtime.NumCPU(), Versions: map[string]string{}, Rounds: s.rounds, Short: s.short,
	}
	if s.rust {
		e.Versions = rustVersions()
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if who, ok := candidateModules[m.Path]; ok {
				e.Versions[string(who)] = strings.TrimPrefix(m.Version, "v")
			}
		}
		for _, b := range info.Settings {
			if b.Key == "vcs.revision" {
				e.Commit = b.Value
			}
		}
	}
	if _, _, ok := processTimes(); !ok {
		e.Note = "This system has no getrusage: the columns of CPU time, and the ratios of it, are empty."
	}
	return e
}

// versions lists the versions, in the order of the names: "fasthttp 1.74.0, hertz 0.10.4".
func (e environmentReport) versions() string {
	var all []string
	for who, version := range e.Versions {
		all = append(all, who+" "+version)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// cpuName returns what the processor is called, or "" where there is no /proc/cpuinfo that names it.
func cpuName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, name, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

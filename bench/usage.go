package main

import (
	"runtime"
	"time"
)

// usage is what this process has used up to a moment.
type usage struct {
	at             time.Time
	user, sys      time.Duration
	measured       bool // the system tells the times
	mallocs, bytes uint64
}

func usageNow() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{mallocs: m.Mallocs, bytes: m.TotalAlloc}
	u.user, u.sys, u.measured = processTimes()
	u.at = time.Now()
	return u
}

// cost is what was used between two moments.
type cost struct {
	wall, user, sys time.Duration
	measured        bool
	mallocs, bytes  float64
}

func (u usage) since(before usage) cost {
	return cost{
		wall: u.at.Sub(before.at), user: u.user - before.user, sys: u.sys - before.sys, measured: u.measured,
		mallocs: float64(u.mallocs - before.mallocs), bytes: float64(u.bytes - before.bytes),
	}
}

// perRequest spreads the cost over n requests.
func (c cost) perRequest(n int64) sample {
	count := float64(n)
	s := sample{
		"rate":   count / c.wall.Seconds(),
		"allocs": c.mallocs / count,
		"bytes":  c.bytes / count,
	}
	if c.measured {
		s["user"], s["sys"] = micros(c.user)/count, micros(c.sys)/count
		s["cpu"] = s["user"] + s["sys"]
	}
	return s
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

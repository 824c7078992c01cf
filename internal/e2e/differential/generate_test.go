package differential_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// generate makes a script of a seed: the same one each time.
func generate(seed uint64) *script {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 9113))}
	// If there are several connections, the client decides which request is on the one that ends.
	g.crowded = g.one(2)
	s := &script{server: g.server(), client: g.client()}
	for at := time.Duration(0); len(s.exchanges) < 1+g.IntN(7); at += g.pause(20 * time.Millisecond) {
		s.exchanges = append(s.exchanges, g.exchange(at))
	}
	return s
}

type generator struct {
	*rand.Rand
	crowded bool // the server allows few streams, and ends no connection
}

// streams are the values of MAX_CONCURRENT_STREAMS.
func (g *generator) streams() []uint32 {
	if g.crowded {
		return []uint32{1, 2, 100}
	}
	return []uint32{10, 100}
}

// one reports true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

// pause returns a time that no other event has.
func (g *generator) pause(most time.Duration) time.Duration {
	return 1 + time.Duration(g.Int64N(int64(most)))
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) server() serverPlan {
	var p serverPlan
	for _, c := range []struct {
		id     http2.SettingID
		values []uint32
	}{
		{http2.SettingInitialWindowSize, []uint32{100, 5000, 1 << 20}},
		{http2.SettingMaxFrameSize, []uint32{16384, 20_000, 1<<24 - 1}},
		{http2.SettingMaxConcurrentStreams, g.streams()},
		{http2.SettingHeaderTableSize, []uint32{0, 4096, 1 << 16}},
		{http2.SettingMaxHeaderListSize, []uint32{2000, 1 << 20}},
		{0xbeef, []uint32{1}},
	} {
		if g.one(4) {
			p.settings = append(p.settings, http2.Setting{ID: c.id, Val: pick(g, c.values...)})
		}
	}
	if g.one(8) {
		p.late = g.pause(50 * time.Millisecond)
	}
	if g.one(3) {
		p.connWindow = pick[uint32](g, 1, 10_000, 1<<20)
	}
	if g.one(3) {
		p.refillAfter = g.pause(30 * time.Millisecond)
	}
	if g.one(10) {
		p.pingEvery = g.pause(20 * time.Millisecond)
	}
	return p
}

func (g *generator) client() clientPlan {
	p := clientPlan{expectTimeout: time.Second + 7}
	if g.one(6) {
		p.maxHeader = 2000
	}
	if g.one(10) {
		p.headerTimeout = g.pause(100 * time.Millisecond)
	}
	p.noCompression = g.one(3)
	return p
}

func (g *generator) exchange(at time.Duration) exchange {
	x := exchange{at: at, method: pick(g, "GET", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PROPFIND")}
	for range g.IntN(4) {
		x.fields = append(x.fields, pick(g, "X-A: b", "X-Long: "+strings.Repeat("l", g.IntN(3000)), "Cookie: a=b; c=d",
			"Accept-Encoding: identity", "User-Agent: test", "Te: trailers", "Authorization: Bearer secret", "Range: bytes=0-9",
			"X-Count: "+fmt.Sprint(g.IntN(5))))
	}
	if g.one(20) {
		x.fields = append(x.fields, "Connection: close")
	}
	if x.method != "HEAD" && g.one(2) {
		x.body = g.body()
		x.expect = g.one(6)
	}
	x.reading = g.reading()
	x.steps = g.answer(x)
	return x
}

func (g *generator) body() bodyPlan {
	p := bodyPlan{
		kind:  bodyKind(1 + g.IntN(6)),
		size:  pick(g, 0, 1, 100, 5000, 17_000, 70_000, 200_000),
		chunk: pick(g, 1000, 16_384, 1<<20, 777),
	}
	if g.one(2) {
		p.pause = g.pause(3 * time.Millisecond)
	}
	if p.kind == streamedBody || p.kind == declaredBody {
		p.trailer = g.one(3)
	}
	return p
}

func (g *generator) reading() readingPlan {
	p := readingPlan{chunk: pick(g, 512, 4096, 32<<10), closeAfter: -1, cancelAt: -1, deadline: -1}
	if g.one(3) {
		p.pause = g.pause(20 * time.Millisecond)
	}
	if g.one(8) {
		p.closeAfter = pick(g, 0, 1, 1000)
	}
	if g.one(8) {
		p.cancelAt = g.pause(100 * time.Millisecond)
	} else if g.one(10) {
		p.deadline = g.pause(200 * time.Millisecond)
	}
	return p
}

// answer makes the steps of a server that answers a request in order, and then, in some cases, breaks the order.
func (g *generator) answer(x exchange) (steps []step) {
	add := func(st step) {
		if g.one(2) {
			st.after = g.pause(10 * time.Millisecond)
		}
		if g.one(4) {
			for at := 0; at < 1000 && len(st.cuts) < 6; {
				at += 1 + g.IntN(500)
				st.cuts = append(st.cuts, cut{min(at, 999), g.pause(3 * time.Millisecond)})
			}
		}
		steps = append(steps, st)
	}
	for g.one(4) {
		add(step{verb: "head", n: pick(g, 100, 103, 102, 199), fields: g.fields(1)})
	}
	if x.body.kind != noBody && g.one(2) {
		add(step{verb: "await", n: pick(g, 0, 0, 1, 1000)})
	}
	status := pick(g, 200, 200, 200, 404, 204, 304, 500, 301)
	fields, size := g.fields(4), pick(g, 0, 1, 100, 3000, 20_000, 60_000)
	bodiless := x.method == "HEAD" || status == 204 || status == 304
	data := "data"
	switch {
	case g.one(3):
		said := size
		if g.one(5) {
			said = max(0, said+pick(g, -1, 1, -100, 100))
		}
		fields = append(fields, fmt.Sprint("content-length: ", said))
	case !bodiless && g.one(3):
		data, size = "zipped", 1000
		fields = append(fields, "content-encoding: gzip")
	}
	trailer := !bodiless && g.one(4)
	if trailer && g.one(2) {
		fields = append(fields, "trailer: X-T")
	}
	ended := bodiless || size == 0 && !trailer && g.one(2)
	add(step{verb: "head", n: status, fields: fields, end: ended, pad: g.IntN(2) * g.IntN(100)})
	for left := size; !ended; {
		n := left
		if data == "data" && g.one(2) {
			n = g.IntN(left + 1)
		}
		left -= n
		ended = left == 0 && !trailer
		add(step{verb: data, n: max(n, (size)*btoi(data == "zipped")), end: ended, pad: btoi(g.one(5)) * (1 + g.IntN(200))})
		if left == 0 {
			break
		}
	}
	if trailer {
		add(step{verb: "fields", fields: append(g.fields(2), "x-t: trailing"), end: true})
	}
	for g.one(3) {
		harmless := g.harmless()
		at := g.IntN(len(steps) + 1)
		steps = append(steps[:at], append([]step{harmless}, steps[at:]...)...)
	}
	for g.one(4) {
		at := g.IntN(len(steps) + 1)
		steps = append(steps[:at], append(g.fault(), steps[at:]...)...)
		if g.one(2) && len(steps) > 1 { // and something else is missing
			at = g.IntN(len(steps))
			steps = append(steps[:at], steps[at+1:]...)
		}
	}
	return steps
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fields are fields of a response.
func (g *generator) fields(most int) (fields []string) {
	for range g.IntN(most + 1) {
		fields = append(fields, pick(g, "server: scripted", "x-long: "+strings.Repeat("v", g.IntN(2000)), "set-cookie: a=1", "set-cookie: b=2",
			"x-n: "+fmt.Sprint(g.IntN(3)), "content-type: text/plain", "cache-control: no-store", "x-empty: ", "date: today", "link: </a>"))
	}
	return fields
}

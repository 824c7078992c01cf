package differential_test

import "slices"

// shrink takes away from a script what isn't needed for differs to hold, until nothing more can be.
func shrink(s *script, differs func(*script) bool) *script {
	for tries := 0; tries < 300; {
		smaller := false
		for _, simplify := range simplifications(s) {
			if tries++; tries > 300 {
				break
			}
			c := s.clone()
			simplify(c)
			if differs(c) {
				s, smaller = c, true
				break
			}
		}
		if !smaller {
			break
		}
	}
	return s
}

// simplifications are the ways to make a script smaller, the large ones first.
func simplifications(s *script) (all []func(*script)) {
	add := func(f func(*script)) { all = append(all, f) }
	none := readingPlan{chunk: 4096, closeAfter: -1, cancelAt: -1, deadline: -1}
	for i, x := range s.exchanges {
		if len(s.exchanges) > 1 && i == len(s.exchanges)-1 { // bodies depend on the index of the others
			add(func(s *script) { s.exchanges = s.exchanges[:i] })
		}
		if len(x.steps) > 1 || x.body.kind != noBody || x.reading != none {
			add(func(s *script) {
				s.exchanges[i] = exchange{at: x.at, method: "GET", reading: none, steps: []step{{verb: "head", n: 200, end: true}}}
			})
		}
	}
	if len(s.server.settings) > 0 {
		add(func(s *script) { s.server.settings = nil })
	}
	if p := s.server; p.late+p.refillAfter+p.pingEvery > 0 || p.connWindow > 0 {
		add(func(s *script) { s.server = serverPlan{settings: s.server.settings} })
	}
	for i, x := range s.exchanges {
		for k, st := range x.steps {
			add(func(s *script) { s.exchanges[i].steps = slices.Delete(s.exchanges[i].steps, k, k+1) })
			if len(st.cuts) > 0 {
				add(func(s *script) { s.exchanges[i].steps[k].cuts = nil })
			}
			if st.after > 0 {
				add(func(s *script) { s.exchanges[i].steps[k].after = 0 })
			}
			if st.pad > 0 && st.verb != "frame" && st.verb != "connframe" {
				add(func(s *script) { s.exchanges[i].steps[k].pad = 0 })
			}
			if len(st.fields) > 0 && st.verb == "head" {
				add(func(s *script) { s.exchanges[i].steps[k].fields = nil })
			}
		}
		if x.body.kind != noBody {
			add(func(s *script) { s.exchanges[i].body, s.exchanges[i].expect = bodyPlan{}, false })
		}
		if x.body.pause > 0 {
			add(func(s *script) { s.exchanges[i].body.pause = 0 })
		}
		if x.reading != none {
			add(func(s *script) { s.exchanges[i].reading = none })
		}
		if x.expect {
			add(func(s *script) { s.exchanges[i].expect = false })
		}
		if len(x.fields) > 0 {
			add(func(s *script) { s.exchanges[i].fields = nil })
		}
	}
	return all
}

func (s *script) clone() *script {
	c := *s
	c.exchanges = slices.Clone(s.exchanges)
	for i := range c.exchanges {
		c.exchanges[i].steps = slices.Clone(c.exchanges[i].steps)
	}
	return &c
}

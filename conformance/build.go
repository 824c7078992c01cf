package main

import (
	"context"
	"errors"
	"fmt"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// plan is a suite that is ready to run.
type plan struct {
	suite   *suite
	binary  string
	tests   []string          // tests to run, sorted
	leftOut map[string]string // test -> reason
	unasked []string          // tests that are left out although no rule says so
	applied map[adaptation]bool
}

// maxBuilds is the largest number of builds of a suite. Each build leaves out what did not compile in the one before it.
const maxBuilds = 5

// prepare rewrites a suite and builds its test binary.
func prepare(ctx context.Context, tc *toolchain, s *suite) (*plan, error) {
	if err := s.copyData(tc); err != nil {
		return nil, err
	}
	if err := tc.writeOverlay(tc.opened()); err != nil {
		return nil, err
	}
	standins, wrong, err := s.check(ctx, tc)
	if err != nil {
		return nil, err
	}
	g := newGraph(s)
	broken := g.lacking(standins.Scope().Lookup("Transport").(*types.TypeName))
	for _, e := range wrong {
		at := s.fset.Position(e.Pos)
		g.blame(filepath.Base(at.Filename), at.Line, e.Msg, broken)
	}
	r := &rewriter{suite: s, standins: standins.Scope()}
	p := &plan{suite: s, binary: filepath.Join(tc.temp, filepath.Base(s.dir)+".test"+exe())}
	for range maxBuilds {
		err = p.build(ctx, tc, r, g, broken)
		if err == nil {
			p.applied = r.applied
			p.choose(g, broken)
			return p, nil
		}
		if !g.blameAll(err, broken) {
			break
		}
	}
	return nil, err
}

// copyData makes the suite's folder and copies the files into it that the tests read.
func (s *suite) copyData(tc *toolchain) error {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return err
	}
	data := os.DirFS(filepath.Join(tc.src, filepath.FromSlash(s.name), "testdata"))
	err := os.CopyFS(filepath.Join(s.dir, "testdata"), data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // some packages have none
	}
	return err
}

// opened returns the part of the overlay that all suites share: net/http with the file that gives its tests access to its
// internals.
func (tc *toolchain) opened() map[string]string {
	dir := filepath.Join(tc.src, "net", "http")
	return map[string]string{filepath.Join(dir, "export_for_peerpool.go"): filepath.Join(dir, "export_test.go")}
}

func (p *plan) build(ctx context.Context, tc *toolchain, r *rewriter, g *graph, broken map[*decl]string) error {
	r.bridges = make(bridges)
	texts := r.rewrite(g.decls, broken)
	shown, err := r.bridges.write(p.suite.dir, tc.src)
	if err != nil {
		return err
	}
	maps.Copy(shown, tc.opened())
	for f, text := range texts {
		file := filepath.Join(p.suite.dir, f.name)
		if err := os.WriteFile(file, text, 0o666); err != nil {
			return err
		}
		dir := strings.TrimPrefix(p.suite.path, modulePath+"/")
		shown[filepath.Join(tc.module, filepath.FromSlash(dir), f.name)] = file
	}
	if err := tc.writeOverlay(shown); err != nil {
		return err
	}
	_, err = tc.run(ctx, "test", "-c", "-vet=off", "-gcflags=-e", "-overlay", tc.overlay, "-o", p.binary, p.suite.path)
	return err
}

var compileError = regexp.MustCompile(`(?m)^(?:.*[/\\])?([^/\\:\s]+\.go):(\d+):(?:\d+:)? (.*)$`)

// blameAll enters the functions that the compiler rejects into broken, and reports whether there are new ones.
func (g *graph) blameAll(err error, broken map[*decl]string) bool {
	failed, ok := errors.AsType[*goError](err)
	if !ok {
		return false
	}
	found := false
	for _, m := range compileError.FindAllStringSubmatch(failed.output, -1) {
		line, _ := strconv.Atoi(m[2])
		found = g.blame(m[1], line, m[3], broken) || found
	}
	return found
}

// blame enters the function at a line into broken, and reports whether it is a new one.
func (g *graph) blame(file string, line int, message string, broken map[*decl]string) bool {
	d := g.at(file, line)
	if d == nil || d.fn == nil || broken[d] != "" {
		return false
	}
	broken[d] = "does not compile: " + message
	return true
}

// obstacle returns why d cannot run, or "".
func (g *graph) obstacle(d *decl, broken map[*decl]string) string {
	var reasons []string
	for _, r := range g.reach(d) {
		if reason, ok := broken[r]; ok {
			reasons = append(reasons, fmt.Sprintf("%s: %s", r.name, reason))
		}
	}
	slices.Sort(reasons)
	return strings.Join(reasons, "; ")
}

// choose divides the tests of clients into those to run and those to leave out.
func (p *plan) choose(g *graph, broken map[*decl]string) {
	p.leftOut = make(map[string]string)
	for _, d := range g.decls {
		if !d.isTest() || !g.isClientSide(d) {
			continue
		}
		why := g.obstacle(d, broken)
		i := slices.IndexFunc(leftOut, func(r rule) bool { return r.test == d.name })
		switch {
		case i >= 0:
			p.leftOut[d.name] = leftOut[i].why
		case why != "":
			p.leftOut[d.name] = why
			p.unasked = append(p.unasked, d.name)
		default:
			p.tests = append(p.tests, d.name)
		}
	}
	slices.Sort(p.tests)
	for _, mode := range leftOutModes {
		if p.suite.hasConst(mode.test) {
			p.leftOut["*/"+mode.test] = mode.why
		}
	}
}

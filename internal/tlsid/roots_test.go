package tlsid

import (
	"crypto/x509"
	"runtime"
	"testing"
)

func TestPoolsOfEqualContentsAreEqual(t *testing.T) {
	a, b := newCA(t), newCA(t)
	one, other := poolOf(a, b), poolOf(b, a)
	if Roots(one) != Roots(other) || Roots(one) != Roots(one.Clone()) {
		t.Error("two pools of the same certificates differ")
	}
	runtime.KeepAlive(one)
}

func TestPoolsOfOtherContentsDiffer(t *testing.T) {
	a, b := newCA(t), newCA(t)
	pools := []*x509.CertPool{nil, x509.NewCertPool(), poolOf(a), poolOf(b), poolOf(a, b)}
	if system, err := x509.SystemCertPool(); err == nil && !system.Equal(x509.NewCertPool()) {
		pools = append(pools, system)
	}
	seen := map[uint64]int{}
	for i, pool := range pools {
		if j, ok := seen[Roots(pool)]; ok {
			t.Errorf("pools %d and %d have the same number", j, i)
		}
		seen[Roots(pool)] = i
	}
	runtime.KeepAlive(pools)
}

func TestTheSystemsRootsAreZero(t *testing.T) {
	if Roots(nil) != 0 || Roots(x509.NewCertPool()) == 0 {
		t.Error("zero must mean the roots of the system, and nothing else")
	}
}

func TestAPoolThatGrowsGetsAnotherNumberAndTheOldOneStaysWithItsContents(t *testing.T) {
	a, b := newCA(t), newCA(t)
	growing, resting := poolOf(a), poolOf(a)
	before := Roots(growing)
	if Roots(resting) != before {
		t.Fatal("equal pools differ")
	}
	growing.AddCert(b)
	if Roots(growing) == before {
		t.Error("a pool that trusts one more has the number it had before")
	}
	if Roots(resting) != before {
		t.Error("a pool that stayed as it was changed its number")
	}
	if Roots(growing) != Roots(poolOf(b, a)) {
		t.Error("the grown pool differs from one with the same contents")
	}
	runtime.KeepAlive(resting)
}

func TestAPoolWithConstraintsEqualsItselfAlone(t *testing.T) {
	ca := newCA(t)
	constrained := func() *x509.CertPool {
		pool := x509.NewCertPool()
		pool.AddCertWithConstraint(ca, func([]*x509.Certificate) error { return x509.UnknownAuthorityError{} })
		return pool
	}
	free, one, other := poolOf(ca), constrained(), constrained()
	if !one.Equal(free) {
		t.Log("x509.CertPool.Equal minds constraints now: the table need not look for them any more")
	}
	if Roots(one) == Roots(free) {
		t.Error("a constraint does not count")
	}
	if Roots(one) == Roots(other) {
		t.Error("two constraints are taken for the same")
	}
	before := same(t, func() uint64 { return Roots(one) })
	one.AddCert(newCA(t))
	if Roots(one) == before {
		t.Error("a pool with a constraint may grow unnoticed")
	}
	runtime.KeepAlive([]*x509.CertPool{free, other})
}

func TestASetKeepsItsNumberWhileAnyPoolWithItLives(t *testing.T) {
	ca := newCA(t)
	first := poolOf(ca)
	number := Roots(first)
	second := poolOf(ca)
	Roots(second)
	_, held := rootSets.size()
	runtime.KeepAlive(first)
	first = nil
	collectUntil(func() bool { _, now := rootSets.size(); return now < held })
	if Roots(poolOf(ca)) != number {
		t.Error("the set lost its number with the first of its pools")
	}
	runtime.KeepAlive(second)
}

func TestPoolsThatWereThrownAwayLeaveNothing(t *testing.T) {
	collectUntil(func() bool { sets, held := rootSets.size(); return sets == 0 && held == 0 })
	cas := []*x509.Certificate{newCA(t), newCA(t), newCA(t)}
	last := uint64(0)
	for i := range 3000 {
		last = max(last, Roots(poolOf(cas[i%len(cas)])))
	}
	collectUntil(func() bool { sets, held := rootSets.size(); return sets == 0 && held == 0 })
	if Roots(poolOf(cas[0])) <= last {
		t.Error("a number was given out again")
	}
}

func TestThePlaceOfConstraintsIsKnown(t *testing.T) {
	if !constraints.known {
		t.Error("x509.CertPool has other fields than it had: say in roots.go where it keeps the constraints now")
	}
}

package tlsid

import (
	"crypto/tls"
	"crypto/x509"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestNoConfigurationIsTheEmptyConfiguration(t *testing.T) {
	if Of(nil, nil) != Of(&tls.Config{}, &tls.Config{}) {
		t.Error("nil and the zero tls.Config differ")
	}
	if Of(nil, nil) == (ID{}) {
		t.Error("a connection with TLS has the ID of one without")
	}
}

func TestEqualContentsInDifferentObjectsAreEqual(t *testing.T) {
	cfg := configured(t)
	copied := cfg.Clone()
	copied.RootCAs = cfg.RootCAs.Clone()
	copied.NextProtos = slices.Clone(cfg.NextProtos)
	copied.ServerName = strings.Clone(cfg.ServerName)
	copied.Certificates = []tls.Certificate{{
		Certificate: [][]byte{slices.Clone(cfg.Certificates[0].Certificate[0])},
		PrivateKey:  sameKeyElsewhere(t, cfg.Certificates[0].PrivateKey),
	}}
	if Of(cfg, cfg) != Of(copied, copied) {
		t.Error("a deep copy has another ID")
	}
}

// accept is a VerifyConnection with an outside: each call of acceptFor returns the same code.
func acceptFor(name string) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if s.ServerName != name {
			return x509.HostnameError{Host: name}
		}
		return nil
	}
}

func TestConfigurationsWithFunctionsAreEqualOnlyIfTheyCameFromOneObject(t *testing.T) {
	a := &tls.Config{VerifyConnection: acceptFor("a")}
	b := &tls.Config{VerifyConnection: acceptFor("b")}
	if Of(a, a) == Of(b, b) {
		t.Error("two closures of the same code in two objects are equal")
	}
	if same(t, func() ID { return Of(a.Clone(), a) }) != Of(a, nil) {
		t.Error("without an origin the configuration is not its own")
	}
	if Of(a.Clone(), a) == Of(a.Clone(), b) {
		t.Error("the origin does not count")
	}
}

func TestTheOriginCountsOnlyForWhatCannotBeCompared(t *testing.T) {
	a, b := &tls.Config{ServerName: "x"}, &tls.Config{ServerName: "x"}
	if Of(a, a) != Of(b, b) {
		t.Error("a configuration without functions is tied to its object")
	}
}

func TestADifferentFunctionInTheSameObjectIsNoticed(t *testing.T) {
	cfg := &tls.Config{VerifyConnection: acceptFor("a")}
	before := own(cfg)
	cfg.VerifyConnection = func(tls.ConnectionState) error { return nil }
	if own(cfg) == before {
		t.Error("another function has the same ID")
	}
}

var global tls.Config

func TestAnOriginThatIsNoHeapObjectHasAnID(t *testing.T) {
	cfg := &tls.Config{VerifyConnection: acceptFor("a")}
	if same(t, func() ID { return Of(cfg, &global) }) == own(cfg) {
		t.Error("a package variable does not count as an origin")
	}
	var outer struct {
		name string
		cfg  [2]tls.Config
	}
	if same(t, func() ID { return Of(cfg, &outer.cfg[0]) }) == Of(cfg, &outer.cfg[1]) {
		t.Error("two configurations in one object are not told apart")
	}
}

func TestConfigurationsThatWereThrownAwayLeaveNothing(t *testing.T) {
	collectUntil(func() bool { return configs.size() == 0 || onlyGlobals() })
	before := configs.size()
	seen := make(map[ID]bool, 10_000)
	for range 10_000 {
		seen[own(&tls.Config{VerifyConnection: acceptFor("a")})] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("10,000 configurations had %d IDs", len(seen))
	}
	collectUntil(func() bool { return configs.size() <= before })
}

// onlyGlobals reports whether the table holds nothing that a collection could remove.
func onlyGlobals() bool {
	configs.mu.Lock()
	defer configs.mu.Unlock()
	for ref := range configs.serials {
		if ref.Value() != &global {
			return false
		}
	}
	return true
}

func TestANumberIsNotGivenOutAgainAfterItsObjectIsGone(t *testing.T) {
	var table objects[[64]byte]
	seen := map[uint64]bool{}
	for range 100 {
		object := new([64]byte)
		seen[table.serial(object)] = true
		runtime.KeepAlive(object)
		collectUntil(func() bool { return table.size() == 0 })
	}
	if len(seen) != 100 || seen[0] {
		t.Errorf("100 objects had the numbers %v", seen)
	}
}

func TestIDsAgreeBetweenGoroutines(t *testing.T) {
	cfg := configured(t)
	cfg.VerifyConnection = acceptFor("a")
	roots := newCA(t)
	want := own(cfg)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				clone := cfg.Clone()
				clone.RootCAs = cfg.RootCAs.Clone()
				if Of(clone, cfg) != want {
					t.Error("a clone has another ID")
				}
				if Roots(poolOf(roots)) == Roots(cfg.RootCAs) {
					t.Error("different roots have the same number")
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
}

func FuzzTheEncodingIsInjective(f *testing.F) {
	f.Add("a", "h2,http/1.1", "", "\x01", "a", "h2http/1.1", "", "\x01")
	f.Add("ab", "c", "d", "", "a", "bc", "d", "")
	f.Add("", "a,bc", "", "", "", "ab,c", "", "")
	f.Add("", "\x00\x00\x00\x00\x00\x00\x00\x01,", "", "", "", ",", "", "")
	f.Add("ServerName", "NextProtos", "x", "y", "NextProtos", "ServerName", "y", "x")
	f.Fuzz(func(t *testing.T, name1, protos1, ech1, suites1, name2, protos2, ech2, suites2 string) {
		cfg1, cfg2 := fuzzed(name1, protos1, ech1, suites1), fuzzed(name2, protos2, ech2, suites2)
		same := cfg1.ServerName == cfg2.ServerName && slices.Equal(cfg1.NextProtos, cfg2.NextProtos) &&
			slices.Equal(cfg1.EncryptedClientHelloConfigList, cfg2.EncryptedClientHelloConfigList) &&
			sameSet(cfg1.CipherSuites, cfg2.CipherSuites)
		if (own(cfg1) == own(cfg2)) != same {
			t.Errorf("equal contents: %v, equal IDs: %v\n%q %q %q %q\n%q %q %q %q", same, !same,
				name1, protos1, ech1, suites1, name2, protos2, ech2, suites2)
		}
	})
}

func fuzzed(name, protos, ech, suites string) *tls.Config {
	cfg := &tls.Config{ServerName: name, NextProtos: strings.Split(protos, ","), EncryptedClientHelloConfigList: []byte(ech)}
	cfg.CipherSuites = []uint16{}
	for _, b := range []byte(suites) {
		cfg.CipherSuites = append(cfg.CipherSuites, uint16(b))
	}
	return cfg
}

func sameSet(a, b []uint16) bool {
	in := func(list []uint16) func(uint16) bool {
		return func(n uint16) bool { return !slices.Contains(list, n) }
	}
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

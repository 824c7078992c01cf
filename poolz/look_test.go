package poolz

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// look is a picture of a page in a browser.
type look struct {
	image.Image
	t *testing.T
}

const (
	lightScheme = 1
	darkScheme  = 0

	desktop, phone = 1600, 390 // pixels
)

// photograph returns how a page looks in a window of that size.
func photograph(t *testing.T, url string, width, height, scheme int) look {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.png")
	browse(t, fmt.Sprintf("--window-size=%d,%d", width, height), "--force-device-scale-factor=1",
		fmt.Sprintf("--blink-settings=preferredColorScheme=%d", scheme), "--screenshot="+file, url)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Dx() != width {
		t.Fatalf("the picture is %v, want a width of %d", img.Bounds(), width)
	}
	return look{img, t}
}

// keepPictures is a folder in which the tests leave what they have seen, for people to look at.
var keepPictures = os.Getenv("PEERPOOL_KEEP_PICTURES")

// save writes the picture down to the end of the page.
func (l look) save(file string) {
	l.t.Helper()
	f, err := os.Create(file)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	whole := l.Image.(interface {
		SubImage(image.Rectangle) image.Image
	})
	if err := png.Encode(f, whole.SubImage(image.Rect(0, 0, l.Bounds().Dx(), l.end()+8))); err != nil {
		l.t.Fatal(err)
	}
}

// brightness is from 0 to 255.
func (l look) brightness(x, y int) uint8 { return color.GrayModel.Convert(l.At(x, y)).(color.Gray).Y }

// isPlain reports whether column x is of the color of the page all the way down.
func (l look) isPlain(x int) bool {
	page := l.At(0, 0)
	for y := range l.Bounds().Dy() {
		if l.At(x, y) != page {
			return false
		}
	}
	return true
}

// end is the lowest line on which there is anything.
func (l look) end() int {
	page := l.At(0, 0)
	for y := l.Bounds().Dy() - 1; y > 0; y-- {
		for x := range l.Bounds().Dx() {
			if l.At(x, y) != page {
				return y
			}
		}
	}
	return 0
}

// filled is the share of the lines down to the end where something of a card is in column x.
func (l look) filled(x int) float64 {
	page, n, end := l.At(0, 0), 0, l.end()
	for y := range end {
		if l.At(x, y) != page {
			n++
		}
	}
	return float64(n) / float64(end)
}

// lookable returns the page of a pool with a few identities, one of which has a long group.
func lookable(t *testing.T) *shown {
	s := show(t, true, AllowDrain())
	origin := newOrigin(t)
	for range 30 {
		s.visit(origin, "")
		s.visit(origin, longGroup("1"))
		s.visit(origin, longGroup("2"))
	}
	return s
}

func longGroup(n string) string {
	return "customers-of-the-european-region-who-pay-by-the-month-" + strings.Repeat("and-more-", 20) + n
}

func TestThePageFitsDesktopAndPhoneInLightAndDark(t *testing.T) {
	s := lookable(t)
	one := s.url + "?id=" + s.document("").Identities[0].ID
	for _, c := range []struct {
		url           string
		width, scheme int
	}{
		{s.url, desktop, lightScheme}, {s.url, desktop, darkScheme}, {s.url, phone, lightScheme}, {s.url, phone, darkScheme},
		{one, desktop, darkScheme}, {one, phone, lightScheme},
	} {
		l := photograph(t, c.url, c.width, 3500, c.scheme)
		if bright := l.brightness(0, 0) > 128; bright != (c.scheme == lightScheme) {
			t.Errorf("%d pixels: the page is bright: %v", c.width, bright)
		}
		if !l.isPlain(0) || !l.isPlain(c.width-1) || !l.isPlain(c.width-4) {
			t.Errorf("%d pixels: something is wider than the window", c.width)
		}
		if end := l.end(); end < 300 || end > 3400 {
			t.Errorf("%d pixels: the page ends at line %d", c.width, end)
		}
	}
}

func TestBesideOneIdentityTheDesktopIsNotHalfEmpty(t *testing.T) {
	s := show(t, true)
	origin := newOrigin(t)
	for range 10 {
		s.visit(origin, "")
	}
	l := photograph(t, s.url, desktop, 1600, lightScheme)
	for _, x := range []int{200, 600, 1000, 1400} {
		if share := l.filled(x); share < 0.7 {
			t.Errorf("column %d is empty on %.0f %% of the lines", x, 100*(1-share))
		}
	}
}

func TestReasonsComeBeforeTheLongList(t *testing.T) {
	body := lookable(t).look("")
	list := strings.Index(body, `id="identities"`)
	for _, id := range []string{"misses", "closes", "retries"} {
		if at := strings.Index(body, `id="`+id+`"`); at < 0 || at > list {
			t.Errorf("%s is at %d, the list of identities at %d", id, at, list)
		}
	}
}

func TestALongGroupIsWholeWhereItDiffers(t *testing.T) {
	s := lookable(t)
	body := s.look("")
	for _, n := range []string{"1", "2"} {
		whole := fmt.Sprintf(`…e-and-more-<b class="differs">%s</b></a>`, n)
		whole = strings.Replace(whole, "…e-and-more-", "…re-and-more-", 1)
		if count := strings.Count(body, whole); count != 2 { // in the list, and in a latest miss
			t.Errorf("group %s stands out %d times, want 2:\n%s", n, count, body)
		}
		wantIn(t, body, "group="+longGroup(n)+`">`) // the title has all of it
	}
	if css := styleCSS; strings.Contains(css, "ellipsis") {
		t.Error("the style cuts text off")
	}
}

func TestAPoorHitRatioIsNotGreen(t *testing.T) {
	for _, c := range []struct {
		hits, misses uint64
		want         string
	}{{0, 0, ""}, {0, 5, ""}, {0, 100, "warn"}, {49, 51, "warn"}, {60, 40, ""}, {90, 10, "good"}, {15, 0, ""}} {
		if got := quality(c.hits, c.misses); got != c.want {
			t.Errorf("%d hits and %d misses are %q, want %q", c.hits, c.misses, got, c.want)
		}
	}
	s := show(t, true)
	for range 30 {
		s.visit(newOrigin(t), "")
	}
	wantIn(t, s.look(""), `data-stat="ratio" class="warn">0.0 %<`)
}

func TestThePageExplainsEveryWordThatHasAPlaceForIt(t *testing.T) {
	s := lookable(t)
	for _, query := range []string{"", "?id=" + s.document("").Identities[0].ID} {
		body := s.look(query)
		if n := strings.Count(body, `title=""`); n > 0 {
			t.Errorf("%q: %d words without an explanation", query, n)
		}
		for _, tag := range regexp.MustCompile(`<th scope="col"[^>]*>`).FindAllString(body, -1) {
			if !strings.Contains(tag, "title=") {
				t.Errorf("%q: a column without an explanation: %s", query, tag)
			}
		}
		if strings.Contains(strings.ToLower(body), "lease") {
			t.Errorf("%q: the page says lease", query)
		}
		wantIn(t, body, "What the words mean", "<dt>Hits</dt><dd>"+words["Hits"])
	}
}

func TestDrainingSaysWhatItDoesAndAsks(t *testing.T) {
	s := show(t, true, AllowDrain())
	origin := newOrigin(t)
	held, err := s.RoundTrip(mustRequest(t, origin)) // active
	if err != nil {
		t.Fatal(err)
	}
	defer held.Body.Close()
	s.visit(origin, "")
	body := s.look("?id=" + s.document("").Identities[0].ID)
	asks := regexp.MustCompile(`(?s)<details class="drain">.*?</details>`).FindString(body)
	wantIn(t, asks, "Drain…</summary>", "1 idle connection will be closed at once",
		"1 connection serves a request and will be closed after that", "Drain 2 connections</button>", "Cancel</a>")
	if n := strings.Count(body, "<button>Drain"); n != 1 {
		t.Errorf("%d buttons that drain, want the one that is asked about", n)
	}
}

func TestAHugeSearchMakesNoHugePage(t *testing.T) {
	p := newPage(newCrowd(t, 500), nil)
	for _, query := range []string{"?q=" + strings.Repeat("x", 100<<10), "?id=" + strings.Repeat("x", 100<<10)} {
		w := get(p, query)
		if w.Code != 400 || w.Body.Len() > 200 {
			t.Errorf("status %d and %d bytes, want 400 and a line", w.Code, w.Body.Len())
		}
	}
	search := "host" + strings.Repeat("+http", 38)
	plain, searched := get(p, "?n=500").Body.Len(), get(p, "?n=500&q="+search).Body
	if n := searched.Len(); n > plain+20*3*maxSearch {
		t.Errorf("%d bytes with a search, %d without", n, plain)
	}
	if n := strings.Count(searched.String(), "q=host"); n == 0 || n > 20 {
		t.Errorf("%d links keep the search, want those that sort and turn pages", n)
	}
}

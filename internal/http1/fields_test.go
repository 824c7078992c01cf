package http1

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// inPieces reads a head that arrives in pieces of the same size. The exchange ends before the body.
func inPieces(t *testing.T, text string, piece int) (*http.Response, error) {
	t.Helper()
	resp, err := exchangeOn(NewConn(&pieces{data: []byte(text), piece: piece}), get(t)).Run()
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// The heads have as many fields as are kept together, and more.
func TestAHeadReadsTheSameHoweverItArrives(t *testing.T) {
	for _, n := range []int{0, 1, fewFields + 1, batch - 1, batch, batch + 1, 3*batch + 1} {
		text, want := fields(n, "v")
		for _, end := range []string{"\r\n", "\n"} {
			head := strings.ReplaceAll("HTTP/1.1 204 No Content\r\n"+text+"\r\n", "\r\n", end)
			for _, piece := range []int{1, 7, len(head) - 1, len(head)} {
				resp, err := inPieces(t, head, piece)
				if err != nil {
					t.Fatalf("%d fields, %d bytes at a time: %v", n, piece, err)
				}
				wantHeader(t, fmt.Sprintf("the header of %d fields, %d bytes at a time,", n, piece), resp.Header, want)
			}
		}
	}
}

const brokenText = "net/http: HTTP/1.x transport connection broken: "

// The malformed line may stand behind fields that are kept already.
func TestAMalformedHeadIsTheSameErrorHoweverItArrives(t *testing.T) {
	for line, want := range map[string]string{
		"content-length 5": `malformed MIME header: missing colon: "content-length 5"`,
		"X-a: 1\x00":       `malformed MIME header line: "X-A: 1\x00"`,
		"X-A: 1\r2":        `malformed MIME header line: "X-A: 1\r2"`,
		"x-a : 1":          `malformed MIME header line: "x-a : 1"`,
		"Date : 1":         `malformed MIME header line: "Date : 1"`,
		": 1":              `malformed MIME header line: ": 1"`,
		"\xc3\xa4: 1":      `malformed MIME header line: "ä: 1"`,
	} {
		for _, n := range []int{0, 1, batch, 2 * batch} {
			text, _ := fields(n, "v")
			head := ok + text + line + "\r\nX-Z: last\r\n\r\n"
			for _, piece := range []int{1, len(ok) + len(text) + len(line), len(head)} {
				if _, err := inPieces(t, head, piece); err == nil || err.Error() != brokenText+want {
					t.Errorf("%q behind %d fields, %d bytes at a time: %v, want %s", line, n, piece, err, want)
				}
			}
		}
	}
}

// net/http has the same error.
func TestABlankBeforeTheFirstFieldIsItsOwnError(t *testing.T) {
	for _, blank := range []string{" ", "\t"} {
		_, err := inPieces(t, ok+blank+"X-A: 1\r\n\r\n", 1<<10)
		want := brokenText + fmt.Sprintf("malformed MIME header initial line: %q", blank+"X-A: 1")
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The body may arrive together with a head of many fields.
func TestTheLinesOfABodyAreNoFields(t *testing.T) {
	text, want := fields(batch+1, "v")
	body := strings.Repeat("\n", maxFields)
	want.Set("Content-Length", fmt.Sprint(len(body)))
	received := ok + text + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
	var h head
	size, err := h.parse([]byte(received+body), nil)
	if err != nil || size != len(received) {
		t.Fatalf("%d bytes, %v", size, err)
	}
	wantHeader(t, "the header", h.header, want)
}

// What follows the name does not change it.
func TestACommonFieldNameReadsTheSameHoweverItIsSpelled(t *testing.T) {
	for _, names := range common {
		for _, c := range names {
			for _, sent := range []string{c.sent, strings.ToLower(c.sent), strings.ToUpper(c.sent)} {
				for _, more := range []string{"", "x", "-x"} {
					f := fieldParser{b: []byte(sent + more + ": 1\r\n\r\n"), room: make([]string, fewFields)}
					if err := f.parse(); err != nil {
						t.Fatal(err)
					}
					wantHeader(t, sent+more, f.header, http.Header{http.CanonicalHeaderKey(sent + more): {"1"}})
				}
			}
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"net"
	"testing"
)

func failedRead(port int) error {
	return fmt.Errorf("wrapped: %w", &net.OpError{
		Op: "read", Net: "tcp",
		Source: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port},
		Addr:   &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80},
		Err:    errors.New("connection reset by peer"),
	})
}

func TestErrorsThatDifferInOurPortAreOne(t *testing.T) {
	texts := errorTexts{}
	texts.add(failedRead(40001))
	texts.add(failedRead(40002))
	if texts["wrapped: read tcp 127.0.0.1:80: connection reset by peer"] != 2 || len(texts) != 1 {
		t.Errorf("texts: %v", texts)
	}
}

func TestAnErrorTextIsOneLine(t *testing.T) {
	if got := errorText(errors.New("one\n\ttwo")); got != "one two" {
		t.Errorf("text: %q", got)
	}
}

func TestTheNumberOfErrorTextsIsBounded(t *testing.T) {
	texts := errorTexts{}
	for i := range 1000 {
		texts.add(fmt.Errorf("error %d", i))
	}
	texts.add(errors.New("error 0"))
	if len(texts) != maxErrorTexts+1 || texts[otherErrors] != 1000-maxErrorTexts || texts["error 0"] != 2 {
		t.Errorf("%d texts, %d others, %d times the first", len(texts), texts[otherErrors], texts["error 0"])
	}
}

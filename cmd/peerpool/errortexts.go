package main

import (
	"errors"
	"net"
	"strings"
)

// errorTexts counts errors by their text. It holds a bounded number of texts.
type errorTexts map[string]uint64

const (
	maxErrorTexts = 32
	otherErrors   = "(other errors)"
)

func (t errorTexts) add(err error) {
	text := errorText(err)
	if _, known := t[text]; !known && len(t) >= maxErrorTexts {
		text = otherErrors
	}
	t[text]++
}

// errorText returns the text of err without the local port, which differs for every connection.
func errorText(err error) string {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Source != nil {
		anonymous := *op
		anonymous.Source = nil
		text = strings.ReplaceAll(text, op.Error(), anonymous.Error())
	}
	return strings.Join(strings.Fields(text), " ")
}

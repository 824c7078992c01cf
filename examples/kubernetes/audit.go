package main

import (
	"bytes"
	"encoding/json"
	"os"
)

// call is a line of the API server's audit log. It has only the fields that the example needs.
type call struct {
	Verb      string
	User      struct{ Username string }
	ObjectRef struct{ Resource string }
}

type calls []call

// readAudit returns what the API server has written so far. It writes a line before it answers the call.
func readAudit(path string) (calls, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all calls
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the line is still being written
		}
		var c call
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// users counts the calls for the example's objects by user. It leaves out watches, because they are logged when they end.
func (all calls) users() map[string]int {
	n := make(map[string]int)
	for _, c := range all {
		if c.ObjectRef.Resource == words.Resource && c.Verb != "watch" {
			n[c.User.Username]++
		}
	}
	return n
}

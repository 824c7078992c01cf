package main

import (
	"encoding/json"
	"io"
	"os"
)

// writeJSON writes the report to a file, to standard output if that is "-", and nowhere if it is "".
func writeJSON(file string, stdout io.Writer, r report) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if file == "-" {
		_, err = stdout.Write(text)
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

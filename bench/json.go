package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// readReport reads what writeJSON wrote.
func readReport(file string) (report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return report{}, err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return report{}, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

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

package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// rustClients are the candidates in the directory rust, a crate with a program that takes jobs and orders as
// worker.go does.
var rustClients = []candidate{pingora, pingoraOne, hyperUtil, reqwest}

// rustDir is the crate, from the directory that the bench is run in.
const rustDir = "rust"

// buildRust builds the clients written in Rust and returns their program. Cargo says on stderr how far it is, which
// takes minutes the first time.
func buildRust(ctx context.Context, stderr io.Writer) (program string, err error) {
	cargo, err := exec.LookPath("cargo")
	if err != nil {
		return "", errors.New("-rust needs cargo, which https://rustup.rs installs")
	}
	cmd := exec.CommandContext(ctx, cargo, "build", "--release", "--locked", "--target-dir", filepath.Join(rustDir, "target"))
	cmd.Args = append(cmd.Args, "--manifest-path", filepath.Join(rustDir, "Cargo.toml"))
	cmd.Stdout, cmd.Stderr = stderr, stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("-rust: cargo build in %s: %w", rustDir, err)
	}
	return filepath.Abs(filepath.Join(rustDir, "target", "release", "rustclients"))
}

//go:embed rust/Cargo.lock
var rustLock []byte

// rustVersions returns the versions of the clients written in Rust, from the crate's lock file.
func rustVersions() map[string]string {
	crates := map[string]candidate{"pingora-core": pingora, "hyper-util": hyperUtil, "reqwest": reqwest}
	versions := map[string]string{}
	var crate string
	for lines := bufio.NewScanner(bytes.NewReader(rustLock)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), " = ")
		switch value = strings.Trim(value, `"`); key {
		case "name":
			crate = value
		case "version":
			if who, ok := crates[crate]; ok {
				versions[string(who)] = value
			}
		}
	}
	return versions
}

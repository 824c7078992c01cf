package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/peerpool/peerpool/examples/connect/conformance/pooled"
)

// features are the features of a client over TCP: all of the suite except HTTP/3, with gzip as the only compression.
const features = `features:
  versions: [HTTP_VERSION_1, HTTP_VERSION_2]
  protocols: [PROTOCOL_CONNECT, PROTOCOL_GRPC, PROTOCOL_GRPC_WEB]
  codecs: [CODEC_PROTO, CODEC_JSON]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP]
  supportsTlsClientCerts: true
  supportsHalfDuplexBidiOverHttp1: true
`

// verdict is what the suite reports about a client, and what the client reports about its connections.
type verdict struct {
	passed, failed int
	failures       []string // the names of the cases
	counts         pooled.Counts
}

// runSuite runs the suite against a client. Its files go into dir. Failing cases are not an error.
func runSuite(ctx context.Context, runner, client, dir string) (verdict, error) {
	config, report := filepath.Join(dir, "features.yaml"), filepath.Join(dir, "report")
	if err := os.WriteFile(config, []byte(features), 0o644); err != nil {
		return verdict{}, err
	}
	cmd := exec.CommandContext(ctx, runner, "--mode", "client", "--conf", config, "--", client)
	cmd.Env = append(os.Environ(), pooled.ReportEnv+"="+report)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return verdict{}, err
	}
	v, err := parse(out)
	if err != nil {
		return v, err
	}
	v.counts, err = readCounts(report)
	return v, err
}

var (
	summaryLine = regexp.MustCompile(`(?m)^(\d+) passed, (\d+) failed`)
	failedLine  = regexp.MustCompile(`(?m)^FAILED: (.*?):?$`)
)

// parse reads the output of the suite.
func parse(out []byte) (verdict, error) {
	summary := summaryLine.FindSubmatch(out)
	if summary == nil {
		return verdict{}, fmt.Errorf("the suite came to no end:\n%s", out[max(0, len(out)-4096):])
	}
	var v verdict
	v.passed, _ = strconv.Atoi(string(summary[1])) // the expression matches digits only
	v.failed, _ = strconv.Atoi(string(summary[2]))
	for _, line := range failedLine.FindAllSubmatch(out, -1) {
		v.failures = append(v.failures, string(line[1]))
	}
	return v, nil
}

// readCounts adds up what the processes of a client have reported. A client on net/http reports nothing.
func readCounts(path string) (pooled.Counts, error) {
	var sum pooled.Counts
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return sum, nil
	}
	if err != nil {
		return sum, err
	}
	lines := json.NewDecoder(bytes.NewReader(text))
	for {
		var one pooled.Counts
		err := lines.Decode(&one)
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
		sum.Add(one)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleEnv makes the binary, started again by itself, one of the processes of a comparison.
const roleEnv = "PEERPOOL_BENCH_ROLE"

const (
	serverRole = "server"
	workerRole = "worker"
)

func playRole(role string) error {
	switch role {
	case serverRole:
		return serverMain(os.Stdin, os.Stdout)
	case workerRole:
		return workerMain(os.Stdin, os.Stdout)
	}
	return fmt.Errorf("%s=%q is not a role", roleEnv, role)
}

// process is one of the processes of a comparison. They speak JSON over its standard input and output, and it
// ends when its standard input does, so none outlives the run.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// start starts a program in a role. No program is this one.
func start(ctx context.Context, program, role string) (*process, error) {
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program = self
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}, nil
}

// stop ends the process and waits for that.
func (p *process) stop() {
	p.in.Close()
	p.cmd.Wait()
}

// reply is what a worker process says to its job and to each order.
type reply struct {
	Error string
	reading
}

// ask sends a job or an order and waits for the reply.
func (p *process) ask(question any) (reading, error) {
	if err := p.enc.Encode(question); err != nil {
		return reading{}, fmt.Errorf("worker: %w", err)
	}
	var r reply
	if err := p.dec.Decode(&r); err != nil {
		return reading{}, fmt.Errorf("worker: %w", err)
	}
	if r.Error != "" {
		return reading{}, errors.New(r.Error)
	}
	return r.reading, nil
}

func startServer(ctx context.Context) (*process, endpoint, error) {
	p, err := start(ctx, "", serverRole)
	if err != nil {
		return nil, endpoint{}, err
	}
	var at endpoint
	if err := p.dec.Decode(&at); err != nil {
		p.stop()
		return nil, endpoint{}, fmt.Errorf("server: %w", err)
	}
	return p, at, nil
}

func startWorker(ctx context.Context, program string, j job) (*process, error) {
	p, err := start(ctx, program, workerRole)
	if err != nil {
		return nil, err
	}
	if _, err := p.ask(j); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

//go:build unix

package testkit

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	httptestutil "github.com/peerpool/peerpool/httptest_util"
)

// TestAServerThatDoesNotEndIsKilledWithItsChildren checks the children too, because nginx, Apache and gunicorn have
// workers, which hold the server's output.
func TestAServerThatDoesNotEndIsKilledWithItsChildren(t *testing.T) {
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command("sh", "-c", `trap "" TERM; sleep 60 & echo started; wait; sleep 60`)
	cmd.Stdout = input
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	input.Close()
	r := bufio.NewReader(output)
	if line, err := r.ReadString('\n'); line != "started\n" {
		t.Fatal(line, err)
	}
	exited := make(chan struct{})
	go func() { // ends with the program
		defer close(exited)
		_ = cmd.Wait()
	}()

	stopServer(t, cmd, exited, 10*time.Millisecond)

	// The output ends when none of the processes that hold it is left.
	output.SetReadDeadline(time.Now().Add(httptestutil.Bound))
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("a child of the server still runs: %v", err)
	}
}

//go:build interop

package interop_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Limits are for a machine that is busy with other things; a healthy step takes a small part of them.
const (
	startLimit = 60 * time.Second // a foreign program until it is ready
	stopLimit  = 20 * time.Second // SIGTERM until it is gone
	stepLimit  = 45 * time.Second // one event, answer or change in a peer
	pollEvery  = 50 * time.Millisecond
)

// process is a foreign program in a process group of its own, so that it can be ended with all its children.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; valid after done
}

// startProcess starts a program whose output is appended to the file log. If the test binary dies, the kernel ends it.
func startProcess(name, log string, command *exec.Cmd) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own descriptor
	if command.Stdout == nil {
		command.Stdout = out
	}
	command.Stderr = out
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Setpgid, command.SysProcAttr.Pdeathsig = true, syscall.SIGTERM
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, cmd: command, done: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends the program as an administrator would and, past stopLimit, by force.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.killGroup() // a child may have outlived its parent
	case <-time.After(stopLimit):
		p.kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.name, stopLimit)
	}
}

// kill ends the program and its children at once: no goodbye to any client.
func (p *process) kill() error {
	err := p.killGroup()
	<-p.done
	return err
}

func (p *process) killGroup() error {
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// waitReady polls probe until it succeeds, the program ends, or startLimit passes.
func (p *process) waitReady(probe func() error) error {
	deadline := time.After(startLimit)
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended while starting: %v", p.name, p.err)
		case <-deadline:
			return fmt.Errorf("%s not ready after %v: %w", p.name, startLimit, err)
		case <-time.After(pollEvery):
		}
	}
}

// freePort returns a loopback port that is free for TCP and UDP, no port twice. It lies below the range from which the kernel takes
// the ports of outgoing connections, so that it is still free when a server is started on it again.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 20000 + rand.IntN(12000)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		tcp.Close()
		if err != nil {
			continue
		}
		udp.Close()
		if _, given := shared.ports.LoadOrStore(port, true); !given {
			return port
		}
	}
	t.Fatal("no free loopback port found")
	return 0
}

// eventually polls cond until it holds; what names it for the failure after stepLimit.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(stepLimit); !cond(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", stepLimit, what)
		}
	}
}

// showLog prints the end of a program's log when the test failed.
func showLog(t testing.TB, name, path string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Logf("log of %s: %v", name, err)
		return
	}
	const keep = 120
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > keep {
		lines = lines[len(lines)-keep:]
	}
	t.Logf("end of the log of %s:\n%s", name, strings.Join(lines, "\n"))
}

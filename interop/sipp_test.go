//go:build interop

package interop_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// sippLimit bounds a scenario of sipp. None lasts as long as pion takes to find that its ICE comes to nothing.
const sippLimit = 20 * time.Second

// sipp is one run of a scenario, which is one call. It fails at the first message that it does not expect.
type sipp struct {
	Target string // what reaches it through Kamailio

	t    testing.TB
	name string
	proc *process
}

// startSIPp starts the scenario sipp/NAME.xml over UDP behind k. A scenario that calls calls user. With the option -nr it
// neither repeats its messages nor takes one that comes again for a repetition.
func startSIPp(t testing.TB, k *kamailio, name, user string, options ...string) *sipp {
	t.Helper()
	program := need(t, "sipp")
	scenario, err := filepath.Abs(filepath.Join("sipp", name+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	port, dir := freePort(t), t.TempDir()
	log, messages := filepath.Join(dir, "sipp.log"), filepath.Join(dir, "messages.log")
	cmd := exec.Command(program, append(options, "-sf", scenario, "-m", "1", "-s", user, "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-t", "u1",
		"-nostdin", "-timeout", strconv.Itoa(int(sippLimit.Seconds())), "-timeout_error",
		"-trace_err", "-error_file", log, "-trace_msg", "-message_file", messages, k.UDP)...)
	cmd.Dir = dir
	proc, err := startProcess("sipp "+name, filepath.Join(dir, "screen.log"), cmd)
	if err != nil {
		t.Fatal(err)
	}
	s := &sipp{Target: fmt.Sprintf("sipp%d", port), t: t, name: name, proc: proc}
	t.Cleanup(func() {
		if err := proc.kill(); err != nil {
			t.Error(err)
		}
		showLog(t, "sipp "+name, log)
		showLog(t, "sipp "+name+", messages", messages)
	})
	return s
}

// wait waits until the scenario has ended as it is written.
func (s *sipp) wait() {
	s.t.Helper()
	select {
	case <-s.proc.done:
		if s.proc.err != nil {
			s.t.Fatalf("sipp %s: %v", s.name, s.proc.err)
		}
	case <-time.After(sippLimit + stepLimit):
		s.t.Fatalf("sipp %s has not ended", s.name)
	}
}

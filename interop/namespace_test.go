//go:build interop

package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// roleVariable says what a test binary is that a test has started in a network namespace.
const roleVariable = "SIPUA_INTEROP_ROLE"

// inNamespace has a test run in a network namespace of its own, in another process of this binary, and reports whether
// this is that process. A namespace goes with the last process in it, and with it the links into it.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleVariable) != "" {
		return true
	}
	need(t, "ip")
	cmd, err := again(t, "server")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		unavailable(t, fmt.Sprintf("network namespaces (%v)", err))
	}
	if err != nil {
		t.Errorf("in a network namespace: %v\n%s", err, out.String())
		return false
	}
	for line := range strings.Lines(out.String()) {
		if _, text, ok := strings.Cut(line, measured); ok {
			t.Log(strings.TrimSpace(text))
		}
	}
	return false
}

// measured begins what a test in a namespace prints for whoever started it.
const measured = "measured: "

// again is this test in another process and a namespace of its own, in a role.
func again(t *testing.T, role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+part+"$")
	}
	cmd := exec.Command(self, "-test.run", strings.Join(pattern, "/"), "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// network is a machine with links to this one, which is the server side. Both have addresses in 10.77.0.0/16, this one
// 10.77.0.1 whatever link is up.
type network struct {
	t   *testing.T
	pid int // of a process in the namespace of that machine
}

const serverAddress = "10.77.0.1"

// link is a link of that machine.
type link struct {
	name string
	net  int // third byte of its addresses
}

var wlan, lte = link{"wlan", 1}, link{"lte", 2}

// address is that machine's on a link.
func (l link) address() string { return fmt.Sprintf("10.77.%d.2", l.net) }

// newNetwork makes the links, which are down, to the namespace of a process.
func newNetwork(t *testing.T, pid int) *network {
	t.Helper()
	n := &network{t, pid}
	n.here("link set lo up")
	n.here("addr add " + serverAddress + "/32 dev lo")
	n.there("link set lo up")
	for _, l := range []link{wlan, lte} {
		n.here(fmt.Sprintf("link add to-%s type veth peer name %s netns %d", l.name, l.name, pid))
		n.here(fmt.Sprintf("addr add 10.77.%d.1/24 dev to-%s", l.net, l.name))
		n.here("link set to-" + l.name + " up")
	}
	return n
}

// up brings up a link of that machine.
func (n *network) up(l link) {
	n.t.Helper()
	n.there("link set " + l.name + " up")
	n.there(fmt.Sprintf("addr replace %s/24 dev %s", l.address(), l.name))
}

// down takes it down; its address goes.
func (n *network) down(l link) {
	n.t.Helper()
	n.there("link set " + l.name + " down")
	n.there("addr flush dev " + l.name)
}

// route has that machine reach everything over a link.
func (n *network) route(l link) {
	n.t.Helper()
	n.there(fmt.Sprintf("route replace default via 10.77.%d.1 dev %s", l.net, l.name))
}

// here and there run ip in this namespace and in the other one.
func (n *network) here(args string) { n.t.Helper(); n.ip(args) }

func (n *network) there(args string) {
	n.t.Helper()
	n.ip(args, need(n.t, "nsenter"), "-t", strconv.Itoa(n.pid), "-n")
}

func (n *network) ip(args string, prefix ...string) {
	n.t.Helper()
	argv := append(append(prefix, need(n.t, "ip")), strings.Fields(args)...)
	if out, err := exec.CommandContext(n.t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// order is what a remote process is to do, and report what it says: about an order, where ID is that of one, or by itself.
type (
	order struct {
		ID   int    `json:"id"`
		Do   string `json:"do"`
		Text string `json:"text,omitempty"`
	}
	report struct {
		ID    int       `json:"id,omitempty"`
		Event string    `json:"event,omitempty"`
		Text  string    `json:"text,omitempty"`
		At    time.Time `json:"at"`
	}
)

// remote is this test in a namespace beside this one, which takes orders. Its methods fail the test.
type remote struct {
	t      *testing.T
	proc   *process
	orders *json.Encoder
	id     int
	events chan report

	mu      sync.Mutex
	replies map[int]chan report // guarded by mu
}

// startRemote starts it. It ends with the test.
func startRemote(t *testing.T) *remote {
	t.Helper()
	cmd, err := again(t, "client")
	if err != nil {
		t.Fatal(err)
	}
	in, orders, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reports, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.ExtraFiles = in, []*os.File{out}
	log := filepath.Join(t.TempDir(), "client.log")
	proc, err := startProcess("client", log, cmd)
	in.Close()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{t: t, proc: proc, orders: json.NewEncoder(orders), events: make(chan report, 256), replies: map[int]chan report{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(reports); lines.Scan(); {
			r.take(lines.Bytes())
		}
	}()
	t.Cleanup(func() {
		orders.Close() // its last order
		select {
		case <-proc.done:
		case <-time.After(stopLimit):
			t.Errorf("the client did not end within %v", stopLimit)
		}
		if err := proc.kill(); err != nil {
			t.Error(err)
		}
		if proc.err != nil {
			t.Errorf("client: %v", proc.err)
		}
		<-read
		reports.Close()
		showLog(t, "the client", log)
	})
	return r
}

func (r *remote) take(line []byte) {
	var rep report
	if err := json.Unmarshal(line, &rep); err != nil {
		r.t.Errorf("%q of the client: %v", line, err)
		return
	}
	if rep.ID == 0 {
		r.events <- rep
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replies[rep.ID] <- rep
}

// do gives an order and returns what it comes to.
func (r *remote) do(what, text string) string {
	r.t.Helper()
	r.id++
	reply := make(chan report, 1)
	r.mu.Lock()
	r.replies[r.id] = reply
	r.mu.Unlock()
	if err := r.orders.Encode(order{r.id, what, text}); err != nil {
		r.t.Fatal(err)
	}
	select {
	case rep := <-reply:
		return rep.Text
	case <-r.proc.done:
		r.t.Fatalf("client ended while it was to %s", what)
	case <-time.After(2 * stepLimit):
		r.t.Fatalf("not within %v: the client's %s", 2*stepLimit, what)
	}
	return ""
}

// wait waits for the next event of a name; those before it are passed over.
func (r *remote) wait(event string) report {
	r.t.Helper()
	for limit := time.After(stepLimit); ; {
		select {
		case e := <-r.events:
			r.t.Logf("client at %s: %s %s", e.At.Format(clock), e.Event, e.Text)
			if e.Event == event {
				return e
			}
		case <-limit:
			r.t.Fatalf("not within %v: %s", stepLimit, event)
		}
	}
}

// signal sends a signal to the process.
func (r *remote) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.proc.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// reporter is how a remote process reports.
type reporter struct {
	mu  sync.Mutex
	out *json.Encoder // guarded by mu
}

func (r *reporter) tell(rep report) {
	rep.At = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Encode(rep) // fails where whoever listened is gone, who then ends us too
}

//go:build interop

package interop_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	browserDir = "browser"
	maxLine    = 16 << 20 // of the driver's output
)

// browser is the one Chromium or the one Firefox of a run, driven by browser/driver.mjs over its standard input and output.
type browser struct {
	name   string // chromium or firefox
	proc   *process
	stdin  io.WriteCloser
	pages  *httptest.Server // serves browserDir
	log    string
	ready  chan struct{} // closed when it is up
	closed chan struct{} // closed when the driver's output has ended

	mu sync.Mutex
	// guarded by mu
	lastID  int
	replies map[int]chan driverLine
	open    map[int]*page
}

// driverLine is what the driver says: that it is ready, an answer to a command, or an event of a page.
type driverLine struct {
	Ready  bool            `json:"ready"`
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	Page   int             `json:"page"`
}

// needBundles demands what install.sh makes, and that it is not older than what it was made of.
func needBundles(t testing.TB) {
	t.Helper()
	needFile(t, filepath.Join(browserDir, "node_modules", "puppeteer-core", "package.json"))
	modified := func(name ...string) time.Time {
		path := filepath.Join(append([]string{browserDir}, name...)...)
		needFile(t, path)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	for _, peer := range []string{peerJsSIP, peerSIPJS} {
		made := modified("dist", peer+".js")
		for _, source := range []string{peer + ".js", "common.js"} {
			if modified(source).After(made) {
				unavailable(t, "dist/"+peer+".js is older than "+source)
			}
		}
	}
}

func startBrowser(name, node, program, spki, dir string) (*browser, error) {
	b := &browser{
		name:    name,
		pages:   httptest.NewServer(http.FileServer(http.Dir(browserDir))),
		log:     filepath.Join(dir, name+".log"),
		ready:   make(chan struct{}),
		closed:  make(chan struct{}),
		replies: make(map[int]chan driverLine),
		open:    make(map[int]*page),
	}
	cmd := exec.Command(node, "driver.mjs", name, program, b.pages.URL, spki)
	cmd.Dir = browserDir
	cmd.Env = append(os.Environ(), "no_proxy=*", "TMPDIR="+dir) // the profile goes with dir
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		b.stdin, err = cmd.StdinPipe()
	}
	if err == nil {
		b.proc, err = startProcess(name, b.log, cmd)
	}
	if err != nil {
		b.pages.Close()
		return nil, err
	}
	go b.read(stdout)
	err = b.proc.waitReady(func() error {
		select {
		case <-b.ready:
			return nil
		default:
			return errors.New("no word from the driver")
		}
	})
	if err != nil {
		text, _ := os.ReadFile(b.log)
		b.stop()
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return b, nil
}

func (b *browser) stop() {
	b.stdin.Close() // the driver closes the browser and ends
	select {
	case <-b.proc.done:
	case <-time.After(stopLimit):
	}
	b.proc.kill()
	<-b.closed
	b.pages.Close()
}

// read hands the driver's lines to whom they concern until there are no more.
func (b *browser) read(stdout io.Reader) {
	defer close(b.closed)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line driverLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			fmt.Fprintf(os.Stderr, "driver said %q: %v\n", lines.Text(), err)
			continue
		}
		b.mu.Lock()
		reply, p := b.replies[line.ID], b.open[line.Page]
		delete(b.replies, line.ID)
		b.mu.Unlock()
		switch {
		case line.Ready:
			close(b.ready)
		case reply != nil:
			reply <- line // has room for it
		case p != nil:
			p.record(lines.Bytes())
		}
	}
}

// command lets a page do something and decodes what comes of it into result, unless that is nil.
func (b *browser) command(page int, cmd string, args, result any) error {
	reply := make(chan driverLine, 1)
	b.mu.Lock()
	b.lastID++
	id := b.lastID
	b.replies[id] = reply
	line, err := json.Marshal(map[string]any{"id": id, "page": page, "cmd": cmd, "args": args})
	if err == nil {
		_, err = b.stdin.Write(append(line, '\n'))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	select {
	case line := <-reply:
		if line.Error != "" {
			return fmt.Errorf("%s: %s", cmd, line.Error)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(line.Result, result)
	case <-b.closed:
		return fmt.Errorf("%s: %s has ended", cmd, b.name)
	case <-time.After(stepLimit):
		return fmt.Errorf("%s: no answer within %v", cmd, stepLimit)
	}
}

//go:build interop

// Package interop_test puts sipua in front of software that others wrote: Kamailio, coturn, sipp,
// and JsSIP and SIP.js in browsers.
//
// Everything is started by the tests on free loopback ports and stopped by them. README.md says how to install
// the peers, and which of these tests judge the peers themselves rather than sipua.
package interop_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	parallel := "4" // more than there may be processors: the tests mostly wait
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" {
			parallel = f.Value.String()
		}
	})
	if err := flag.Set("test.parallel", parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(run(m))
}

// run lets the tests go, then stops what all of them share. A goroutine that is left then fails the run.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sipua-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared.dir = dir

	code := m.Run()
	stopBrowsers()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// need returns the path of a program that a test cannot do without. Where it is missing the test is skipped, or
// fails if SIPUA_INTEROP_REQUIRED=1 says that everything must be there.
func need(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if path := filepath.Join("/usr/sbin", program); isFile(path) { // not in every user's PATH
		return path
	}
	unavailable(t, program+" is not installed")
	return ""
}

// needFile is need for a file that install.sh makes.
func needFile(t testing.TB, path string) {
	t.Helper()
	if !isFile(path) {
		unavailable(t, path+" is missing")
	}
}

func unavailable(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("SIPUA_INTEROP_REQUIRED") == "1" {
		t.Fatalf("%s: run interop/install.sh", what)
	}
	t.Skipf("%s: run interop/install.sh", what)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

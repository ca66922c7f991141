//go:build interop

package interop_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	turnUser     = "turn-user"
	turnPassword = "turn-password"
)

// coturn is a TURN server on loopback that relays to loopback.
type coturn struct {
	UDP, TCP, TLS string // URIs; over TLS with the certificate of sharedCertificate

	log string
}

// startCoturn starts a TURN server of the test's own, which is stopped when the test ends.
func startCoturn(t testing.TB) *coturn {
	t.Helper()
	program := need(t, "turnserver")
	cert := sharedCertificate(t)
	dir := t.TempDir()
	port, tlsPort := freePort(t), freePort(t)
	for tlsPort == port {
		tlsPort = freePort(t)
	}
	c := &coturn{
		UDP: fmt.Sprintf("turn:127.0.0.1:%d?transport=udp", port),
		TCP: fmt.Sprintf("turn:127.0.0.1:%d?transport=tcp", port),
		TLS: fmt.Sprintf("turns:127.0.0.1:%d?transport=tcp", tlsPort),
		log: filepath.Join(dir, "coturn.log"),
	}
	cmd := exec.Command(program, "-n", "--verbose",
		"--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--allow-loopback-peers",
		fmt.Sprintf("--listening-port=%d", port), fmt.Sprintf("--tls-listening-port=%d", tlsPort),
		"--cert="+cert.certFile, "--pkey="+cert.keyFile,
		"--lt-cred-mech", "--realm="+sipDomain, "--user="+turnUser+":"+turnPassword, "--fingerprint",
		"--no-cli", "--userdb="+filepath.Join(dir, "users"), "--pidfile="+filepath.Join(dir, "pid"),
		"--log-file=stdout", "--simple-log")
	proc, err := startProcess("coturn", c.log, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proc.stop(); err != nil {
			t.Error(err)
		}
		showLog(t, "coturn", c.log)
	})
	err = proc.waitReady(func() error {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ice is the server at one of its URIs with the right credentials.
func (c *coturn) ice(uri string) []iceServer {
	return []iceServer{{URLs: []string{uri}, Username: turnUser, Credential: turnPassword}}
}

// allocations counts the relay addresses that coturn has given out.
func (c *coturn) allocations(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "incoming packet ALLOCATE processed, success")
}

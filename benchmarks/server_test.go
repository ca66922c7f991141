package benchmarks

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// The servers of the benchmarks do as little as the measured thing allows, so
// that what is compared is the client. One that runs in a child process keeps
// its memory out of the figures.

const childEnv = "SIPUA_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		serveForParent()
		return
	}
	slog.SetLogLoggerLevel(slog.LevelError) // sipgo is talkative
	os.Exit(m.Run())
}

var upgrader = websocket.Upgrader{
	Subprotocols: []string{"sip"}, ReadBufferSize: 1024, WriteBufferSize: 4096,
	CheckOrigin: func(*http.Request) bool { return true },
}

// serve answers each message on /echo with itself and on /sip with what
// a registrar and a callee would say.
func serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", handler(func(_ string, msg []byte, write func([]byte)) { write(msg) }))
	mux.HandleFunc("/sip", handler(answer))
	srv := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.Serve(l)
}

func handler(reply func(host string, msg []byte, write func([]byte))) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			_, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			reply(r.Host, msg, func(b []byte) {
				if err := c.WriteMessage(websocket.TextMessage, b); err != nil {
					c.Close()
				}
			})
		}
	}
}

// answer says 200 to everything but ACK, after 180 for an INVITE.
func answer(host string, msg []byte, write func([]byte)) {
	switch {
	case bytes.HasPrefix(msg, []byte("ACK ")), bytes.HasPrefix(msg, []byte("SIP/2.0 ")):
	case bytes.HasPrefix(msg, []byte("INVITE ")):
		contact := "Contact: <sip:bob@" + host + ";transport=ws>\r\n" // sipgo dials it
		write(respond(msg, "180 Ringing", contact, ""))
		write(respond(msg, "200 OK", contact+"Content-Type: application/sdp\r\n", "v=0\r\n"))
	case bytes.HasPrefix(msg, []byte("REGISTER ")):
		contact := line(msg, "\r\nContact: ")
		write(respond(msg, "200 OK", contact+"\r\n", ""))
	default:
		write(respond(msg, "200 OK", "", ""))
	}
}

// line is the header field that begins so, name and all.
func line(msg []byte, name string) string {
	i := bytes.Index(msg, []byte(name))
	if i < 0 {
		return ""
	}
	rest := msg[i+2:]
	return string(rest[:bytes.Index(rest, []byte("\r\n"))])
}

func respond(req []byte, status, more, body string) []byte {
	var b bytes.Buffer
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		b.WriteString(line(req, "\r\n"+name+": "))
		if name == "To" && !strings.Contains(line(req, "\r\nTo: "), ";tag=") {
			b.WriteString(";tag=peer")
		}
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "%sContent-Length: %d\r\n\r\n%s", more, len(body), body)
	return b.Bytes()
}

// local serves inside the process and returns its ws URL without a path.
func local(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	serve(l)
	return "ws://" + l.Addr().String()
}

// child is a server in a process of its own.
type child struct {
	ws, wss string
	roots   *x509.CertPool
}

func startChild(b *testing.B) child {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); cmd.Wait() })
	var c child
	var der string
	if _, err := fmt.Fscan(bufio.NewReader(stdout), &c.ws, &c.wss, &der); err != nil {
		b.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(der)
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		b.Fatal(err)
	}
	c.roots = x509.NewCertPool()
	c.roots.AddCert(cert)
	return c
}

// serveForParent serves until its standard input ends.
func serveForParent() {
	cert, err := certificate()
	if err != nil {
		log.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	secure, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		log.Fatal(err)
	}
	serve(plain)
	serve(secure)
	fmt.Println("ws://"+plain.Addr().String(), "wss://"+secure.Addr().String(), base64.StdEncoding.EncodeToString(cert.Certificate[0]))
	io.Copy(io.Discard, os.Stdin)
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// rootServer answers SIP at every path: sipgo knows none.
func rootServer(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: handler(answer), ErrorLog: log.New(io.Discard, "", 0)}
	go srv.Serve(l)
	b.Cleanup(func() { srv.Close() })
	return "ws://" + l.Addr().String()
}

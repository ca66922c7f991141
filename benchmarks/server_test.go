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
	"strconv"
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

// serve answers each message on /echo with itself and on /sip with what a registrar
// and a callee would say.
func serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", handler(echo))
	mux.HandleFunc("/sip", handler(answer))
	srv := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.Serve(l)
}

// peer is the far side of one connection. Its buffers are used again for each
// message.
type peer struct {
	conn    *websocket.Conn
	host    string
	in, out []byte
}

func handler(reply func(p *peer, msg []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		p := &peer{conn: c, host: r.Host, in: make([]byte, 0, 4096), out: make([]byte, 0, 4096)}
		for p.read() {
			reply(p, p.in)
		}
	}
}

func (p *peer) read() bool {
	_, r, err := p.conn.NextReader()
	p.in = p.in[:0]
	for err == nil {
		if len(p.in) == cap(p.in) {
			p.in = append(p.in, 0)[:len(p.in)]
		}
		var n int
		n, err = r.Read(p.in[len(p.in):cap(p.in)])
		p.in = p.in[:len(p.in)+n]
	}
	return err == io.EOF
}

func (p *peer) write(msg []byte) {
	if p.conn.WriteMessage(websocket.TextMessage, msg) != nil {
		p.conn.Close()
	}
}

func echo(p *peer, msg []byte) { p.write(msg) }

// answer says 200 to everything but ACK, after 180 for an INVITE.
func answer(p *peer, msg []byte) {
	switch {
	case bytes.HasPrefix(msg, []byte("ACK ")), bytes.HasPrefix(msg, []byte("SIP/2.0 ")):
	case bytes.HasPrefix(msg, []byte("INVITE ")):
		p.respond(msg, "180 Ringing", true, "")
		p.respond(msg, "200 OK", true, "v=0\r\n")
	default:
		p.respond(msg, "200 OK", false, "")
	}
}

// respond writes a response to req in one pass over its lines: the fields that each
// response repeats, and the Contact of a REGISTER.
func (p *peer) respond(req []byte, status string, contact bool, body string) {
	b := append(append(append(p.out[:0], "SIP/2.0 "...), status...), "\r\n"...)
	bindings := bytes.HasPrefix(req, []byte("REGISTER "))
	for rest := req; len(rest) > 2; {
		end := bytes.IndexByte(rest, '\n')
		line := rest[:end-1]
		rest = rest[end+1:]
		if len(line) == 0 {
			break
		}
		switch name, value, _ := bytes.Cut(line, []byte(":")); string(name) {
		case "Via", "From", "Call-ID", "CSeq":
			b = append(append(b, line...), "\r\n"...)
		case "To":
			b = append(b, line...)
			if !bytes.Contains(value, []byte(";tag=")) {
				b = append(b, ";tag=peer"...)
			}
			b = append(b, "\r\n"...)
		case "Contact":
			if bindings {
				b = append(append(b, line...), "\r\n"...)
			}
		}
	}
	if contact { // sipgo dials it
		b = append(append(append(b, "Contact: <sip:bob@"...), p.host...), ";transport=ws>\r\n"...)
	}
	if body != "" {
		b = append(b, "Content-Type: application/sdp\r\n"...)
	}
	b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(body)), 10)
	p.out = append(append(b, "\r\n\r\n"...), body...)
	p.write(p.out)
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

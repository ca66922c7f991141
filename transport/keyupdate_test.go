package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/transport"
)

// selfSigned is a certificate for host and the configuration that trusts it.
func selfSigned(t *testing.T, host string) (tls.Certificate, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, &tls.Config{RootCAs: roots}
}

// expandLabel is HKDF-Expand-Label of RFC 8446 §7.1 with an empty context.
func expandLabel(t *testing.T, secret []byte, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := append([]byte{0, byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// keyUpdate is the record by which a TLS 1.3 server asks for new keys (RFC 8446
// §4.6.3), the first one it sends behind one of application data.
func keyUpdate(t *testing.T, keyLog string) []byte {
	t.Helper()
	_, line, _ := strings.Cut(keyLog, "SERVER_TRAFFIC_SECRET_0 ")
	fields := strings.Fields(line)
	if len(fields) < 2 {
		t.Fatalf("no secret in %q", keyLog)
	}
	secret, err := hex.DecodeString(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(expandLabel(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := expandLabel(t, secret, "iv", 12)
	nonce[11] ^= 1 // the second record
	plain := []byte{24, 0, 0, 1, 1, 22}
	head := []byte{23, 3, 3, 0, byte(len(plain) + aead.Overhead())}
	return aead.Seal(bytes.Clone(head), nonce, plain, head)
}

// New keys of TLS are answered from the reader. That must not meet the deadline of
// what was written long before: TLS would never write again.
func TestKeyUpdateLongAfterTheLastWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert, trust := selfSigned(t, "a")
		near, far := newPipe()
		var keyLog bytes.Buffer
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}, KeyLogWriter: &keyLog,
			MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true})
		defer server.Close()
		_, r := start(t, transport.Options{Servers: servers("wss://a"), TLSConfig: trust, PingInterval: -1,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }})
		req, err := http.ReadRequest(bufio.NewReader(server))
		if err != nil {
			t.Fatal(err)
		}
		if server.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
			t.Skip("this machine prefers another cipher than the test speaks")
		}
		sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		io.WriteString(server, switching(base64.StdEncoding.EncodeToString(sum[:])))
		flow := r.until("up").flow
		flow.Send([]byte("one"))
		expectFrame(t, server, text, "one")
		time.Sleep(time.Minute)
		far.Write(keyUpdate(t, keyLog.String()))
		synctest.Wait()
		flow.Send([]byte("two"))
		expectFrame(t, server, text, "two")
		r.none(t)
	})
}

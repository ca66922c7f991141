//go:build interop

package interop_test

import (
	"crypto/tls"
	"strconv"
	"strings"
	"testing"
)

// TestHarnessRegister: Kamailio takes JsSIP's REGISTER over either kind of socket, and forgets it again.
func TestHarnessRegister(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	for _, c := range []struct{ name, server string }{{"ws", k.WS}, {"wss", k.WSS}} {
		t.Run(c.name, func(t *testing.T) {
			p := openPage(t, k, "alice", pageOptions{Server: c.server, Expires: 120})
			p.register()
			if e := p.waitEvent("registered"); e.Status != 200 {
				t.Errorf("registered with status %d", e.Status)
			}
			b := k.waitBindings(t, "alice", 1)[0]
			if !strings.HasPrefix(b.Instance, "<urn:uuid:") || b.Expires <= 60 || b.Expires > 120 {
				t.Errorf("binding %+v, want an instance and at most 120 s", b)
			}
			if len(p.received("SIP/2.0 401")) != 1 {
				t.Errorf("%d challenges, want 1", len(p.received("SIP/2.0 401")))
			}
			p.unregister()
			p.waitEvent("unregistered")
			k.waitBindings(t, "alice", 0)
		})
	}
}

// TestHarnessUnregisterAll: Contact: * takes the bindings of another device too, and JsSIP un-registers when it stops.
func TestHarnessUnregisterAll(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	first, second := newPage(t, k, "alice"), newPage(t, k, "alice")
	k.waitBindings(t, "alice", 2)
	first.unregisterAll()
	first.waitEvent("unregistered")
	k.waitBindings(t, "alice", 0)

	second.register()
	k.waitBindings(t, "alice", 1)
	second.stop()
	second.waitEvent("unregistered")
	second.waitEvent("disconnected")
	k.waitBindings(t, "alice", 0)
}

// TestHarnessRegisterRefused: a wrong password meets a second challenge or a 403, as the server likes it.
func TestHarnessRegisterRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		opts kamailioOptions
		want int
	}{
		{"challenged again", kamailioOptions{}, 401},
		{"forbidden", kamailioOptions{RefuseWrongPassword: true}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKamailio(t, c.opts)
			p := openPage(t, k, "alice", pageOptions{Password: "wrong"})
			p.register()
			if e := p.waitEvent("registrationFailed"); e.Status != c.want {
				t.Errorf("refused with %d, want %d", e.Status, c.want)
			}
			if b := k.bindings(t, "alice"); len(b) != 0 {
				t.Errorf("bound all the same: %+v", b)
			}
		})
	}
}

// TestHarnessIntervalTooBrief: Kamailio answers 423 and accepts what it has named in Min-Expires.
func TestHarnessIntervalTooBrief(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{MinExpires: 90})
	p := openPage(t, k, "alice", pageOptions{Expires: 20})
	p.register()
	p.waitEvent("registered")
	if len(p.received("SIP/2.0 423")) != 1 {
		t.Errorf("%d answers 423, want 1", len(p.received("SIP/2.0 423")))
	}
	if b := k.waitBindings(t, "alice", 1)[0]; b.Expires <= 60 {
		t.Errorf("bound for %d s, want about 90", b.Expires)
	}
}

// TestHarnessGranted: Kamailio grants less than was asked.
func TestHarnessGranted(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{MaxExpires: 60})
	newPage(t, k, "alice")
	if b := k.waitBindings(t, "alice", 1)[0]; b.Expires > 60 {
		t.Errorf("bound for %d s, want 60 at most", b.Expires)
	}
}

// TestHarnessFlowTimer: Kamailio 5.6.3 ends a Flow-Timer of three digits with CR NUL instead of CR LF. A parser that
// refuses that never registers with such a server; one that stops at it loses what follows.
func TestHarnessFlowTimer(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int]string{
		25:  "\r\nFlow-Timer: 25\r\nServer: ",
		120: "\r\nFlow-Timer: 120\r\x00Server: ",
	} {
		t.Run(strconv.Itoa(seconds), func(t *testing.T) {
			p := newPage(t, startKamailio(t, kamailioOptions{FlowTimer: seconds}), "alice")
			if ok := p.received("SIP/2.0 200"); len(ok) != 1 || !strings.Contains(ok[0], want) {
				t.Errorf("answer to REGISTER: %q", ok)
			}
		})
	}
}

// TestHarnessDigest: Kamailio demands SHA-256, which JsSIP does not know, and tells a stale nonce from a wrong password.
func TestHarnessDigest(t *testing.T) {
	t.Parallel()
	t.Run("SHA-256", func(t *testing.T) {
		k := startKamailio(t, kamailioOptions{Algorithm: "SHA-256"})
		p := openPage(t, k, "alice", pageOptions{})
		p.register()
		p.waitEvent("registrationFailed")
		if c := p.received("SIP/2.0 401"); len(c) != 1 || !strings.Contains(c[0], "algorithm=SHA-256") {
			t.Errorf("challenge: %q", c)
		}
	})
	t.Run("stale", func(t *testing.T) {
		k := startKamailio(t, kamailioOptions{NonceExpire: 1})
		p := newPage(t, k, "alice")
		again := p.sent("REGISTER")[1]
		eventually(t, "a challenge that says stale", func() bool {
			again = strings.Replace(again, ";branch=z9hG4bK", ";branch=z9hG4bK0", 1) // a new transaction each time
			p.send(again)
			all := p.received("SIP/2.0 401")
			return strings.Contains(all[len(all)-1], "stale=true")
		})
	})
}

// TestHarnessMalformed: what a client sends wrongly does not escape a test, because Kamailio complains of it.
func TestHarnessMalformed(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	const head = "OPTIONS sip:sip.test SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
	for _, c := range []struct{ name, text string }{
		{"no From", head + "To: <sip:sip.test>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"},
		{"other method in CSeq", head + "To: <sip:sip.test>\r\nFrom: <sip:a@sip.test>;tag=1\r\nCall-ID: 2\r\nCSeq: 1 INVITE\r\n\r\n"},
		{"not SIP", "Good morning\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := openPage(t, k, "alice", pageOptions{}) // of its own: Kamailio hangs up on some of these
			p.send(c.text)
			eventually(t, "a complaint in Kamailio's log", func() bool { return len(k.malformed(t)) > 0 })
		})
	}
}

// TestHarnessCertificate: Kamailio and coturn show a certificate that a client with our authority accepts, and no other client.
func TestHarnessCertificate(t *testing.T) {
	t.Parallel()
	k, turn := startKamailio(t, kamailioOptions{}), startCoturn(t)
	for _, uri := range []string{k.WSS, turn.TLS} {
		address := uri[strings.Index(uri, "127."):]
		address, _, _ = strings.Cut(address, "?")
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: sharedCertificate(t).roots})
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		conn.Close()
		if conn, err := tls.Dial("tcp", address, nil); err == nil {
			conn.Close()
			t.Errorf("%s: accepted without our authority", uri)
		}
	}
}

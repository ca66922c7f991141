package siptest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/sip/siptest"
)

// inBubble runs f in a bubble with a server.
func inBubble(t *testing.T, o siptest.Options, f func(t *testing.T, srv *siptest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newServer(t, o)) })
}

func TestFirstAnswerWins(t *testing.T) {
	inBubble(t, siptest.Options{RecordRoute: true}, func(t *testing.T, srv *siptest.Server) {
		alice, desk, mobile := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP("v=0\r\n"))
		atDesk, atMobile := desk.Expect(sip.INVITE), mobile.Expect(sip.INVITE)
		atDesk.Respond(180)
		atMobile.Respond(180)
		first, second := call.ExpectResponse(180), call.ExpectResponse(180)
		if first.Response.To().Tag() == second.Response.To().Tag() {
			t.Error("both early dialogs have the same tag")
		}

		atMobile.Respond(200)
		ok := call.ExpectResponse(200).ACK()
		mobile.Expect(sip.ACK)
		cancel := desk.Expect(sip.CANCEL)
		if got := cancel.Header("Reason"); !strings.Contains(got, "Call completed elsewhere") {
			t.Errorf("Reason %q", got)
		}
		cancel.Respond(200)
		atDesk.Respond(487)
		desk.Expect(sip.ACK)

		bye := ok.Dialog().Request(sip.BYE)
		mobile.Expect(sip.BYE).Respond(200)
		bye.ExpectResponse(200)
		alice.ExpectNothing(time.Minute) // no 487 from the desk
		desk.ExpectNothing(0)
	})
}

func TestAllSuccessesPass(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		alice, desk, mobile := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob")
		atDesk, atMobile := desk.Expect(sip.INVITE), mobile.Expect(sip.INVITE)
		atDesk.Respond(200)
		atMobile.Respond(200) // crosses the CANCEL, or was sent before one was due
		call.ExpectResponse(200).ACK()
		call.ExpectResponse(200).ACK()
		desk.Expect(sip.ACK)
		mobile.Expect(sip.ACK)
		// A 2xx that is repeated because its ACK was lost comes through as well.
		atDesk.Respond(200)
		call.ExpectResponse(200).ACK()
		desk.Expect(sip.ACK)
	})
}

func TestBestFinalResponse(t *testing.T) {
	for _, tt := range []struct {
		codes   []sip.StatusCode
		want    sip.StatusCode
		cancels bool // the branches behind the first answer
	}{
		{[]sip.StatusCode{486, 302}, 302, false},
		{[]sip.StatusCode{503, 486}, 486, false},
		{[]sip.StatusCode{486, 401}, 401, false},
		{[]sip.StatusCode{404, 486}, 404, false},
		{[]sip.StatusCode{603, 302}, 603, true},
		{[]sip.StatusCode{486, 600}, 600, false},
		{[]sip.StatusCode{500, 503}, 500, false},
	} {
		t.Run(fmt.Sprint(tt.codes), func(t *testing.T) {
			inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
				alice := siptest.Peer(t, srv, "alice")
				var phones []*siptest.Script
				for range tt.codes {
					phones = append(phones, siptest.Peer(t, srv, "bob"))
				}
				call := alice.Request(sip.INVITE, "bob")
				invites := make([]*siptest.Received, len(phones))
				for i, phone := range phones {
					invites[i] = phone.Expect(sip.INVITE).Respond(180)
					call.ExpectResponse(180)
				}
				for i, code := range tt.codes {
					if i > 0 && tt.cancels {
						phones[i].Expect(sip.CANCEL).Respond(200)
					}
					invites[i].Respond(code)
					phones[i].Expect(sip.ACK)
				}
				if got := call.Final().ACK().Response.StatusCode(); got != tt.want {
					t.Errorf("got %d, want %d", got, tt.want)
				}
				alice.ExpectNothing(time.Minute)
			})
		})
	}
}

func TestChallengesOfAllBranchesAreGathered(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		alice, desk, mobile := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob")
		desk.Expect(sip.INVITE).Respond(401, siptest.Header("WWW-Authenticate", `Digest realm="desk", nonce="1"`))
		mobile.Expect(sip.INVITE).Respond(407, siptest.Header("Proxy-Authenticate", `Digest realm="mobile", nonce="2"`))
		var realms []string
		for _, ch := range digest.Challenges(call.Final().Response) {
			realms = append(realms, ch.Realm)
		}
		slices.Sort(realms)
		if !slices.Equal(realms, []string{"desk", "mobile"}) {
			t.Errorf("realms %q", realms)
		}
	})
}

func TestCancel(t *testing.T) {
	t.Run("while it rings", func(t *testing.T) {
		inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
			alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
			call := alice.Request(sip.INVITE, "bob")
			inv := bob.Expect(sip.INVITE).Respond(180)
			call.ExpectResponse(180)
			call.Cancel(siptest.Header("Reason", `SIP;cause=600`)).ExpectResponse(200)
			cancel := bob.Expect(sip.CANCEL).Respond(200)
			if got := cancel.Header("Reason"); got != "SIP;cause=600" {
				t.Errorf("Reason %q", got)
			}
			inv.Respond(487)
			bob.Expect(sip.ACK)
			call.ExpectResponse(487).ACK()
			alice.ExpectNothing(time.Minute)
			bob.ExpectNothing(0)
		})
	})
	t.Run("before it rings", func(t *testing.T) {
		inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
			alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
			call := alice.Request(sip.INVITE, "bob")
			inv := bob.Expect(sip.INVITE)
			call.Cancel().ExpectResponse(200)
			bob.ExpectNothing(time.Second) // RFC 3261 §9.1: not before a provisional response
			inv.Respond(100)
			bob.Expect(sip.CANCEL).Respond(200)
			inv.Respond(487)
			call.ExpectResponse(487).ACK()
		})
	})
	t.Run("crosses the 200", func(t *testing.T) {
		inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
			alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
			call := alice.Request(sip.INVITE, "bob")
			bob.Expect(sip.INVITE).Respond(180).Respond(200)
			ok := call.ExpectResponse(200)
			call.Cancel().ExpectResponse(200) // the server takes it, to no effect
			ok.ACK()
			bob.Expect(sip.ACK)
			bob.ExpectNothing(time.Minute)
		})
	})
	t.Run("is ignored by the callee", func(t *testing.T) {
		inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
			alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
			call := alice.Request(sip.INVITE, "bob")
			bob.Expect(sip.INVITE).Respond(180)
			call.ExpectResponse(180)
			start := time.Now()
			call.Cancel().ExpectResponse(200)
			call.ExpectResponse(487)
			if d := time.Since(start); d != 32*time.Second {
				t.Errorf("487 after %v", d)
			}
		})
	})
	t.Run("of nothing", func(t *testing.T) {
		inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
			alice := siptest.Peer(t, srv, "alice")
			cancel := alice.NewRequest(sip.CANCEL, "bob")
			alice.Send(cancel).ExpectResponse(481)
		})
	})
}

func TestWithoutAnswer(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		start := time.Now()
		call := alice.Request(sip.INVITE, "bob")
		bob.Expect(sip.INVITE)
		call.ExpectResponse(408).ACK()
		if d := time.Since(start); d != 32*time.Second {
			t.Errorf("408 after %v", d)
		}
		msg := alice.Request(sip.MESSAGE, "bob")
		bob.Expect(sip.MESSAGE)
		alice.ExpectNothing(time.Minute) // RFC 4320 §4.2: no 408 for a non-INVITE request
		_ = msg
	})
}

func TestServersOwnAnswers(t *testing.T) {
	for _, tt := range []struct {
		method sip.Method
		to     string
		parts  []siptest.Part
		want   sip.StatusCode
	}{
		{sip.INVITE, "status-486", nil, 486},
		{sip.MESSAGE, "status-603", nil, 603},
		{sip.INVITE, "status-302", nil, 302},
		{sip.INVITE, "nobody", nil, 404},
		{sip.INVITE, "carol", nil, 480},
		{sip.MESSAGE, "sip:someone@elsewhere.example", nil, 404},
		{sip.OPTIONS, "sip:example.test", nil, 200},
		{sip.OPTIONS, "bob", []siptest.Part{siptest.Header("Max-Forwards", "0")}, 483},
		{sip.INVITE, "bob", []siptest.Part{siptest.Header("Proxy-Require", "foo")}, 420},
		{sip.INVITE, "bob", []siptest.Part{siptest.Header("Route", "<sip:")}, 400},
	} {
		t.Run(string(tt.method)+" "+tt.to, func(t *testing.T) {
			inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
				alice := siptest.Peer(t, srv, "alice")
				siptest.Peer(t, srv, "bob")
				siptest.Peer(t, srv, "carol")
				srv.Forget("carol") // known, but not registered at present
				res := alice.Request(tt.method, tt.to, tt.parts...).Final()
				if res.Response.StatusCode() != tt.want {
					t.Errorf("got\n%s", res.Text)
				}
				if res.Response.To().Tag() == "" {
					t.Error("no To tag")
				}
				if tt.method == sip.INVITE {
					res.ACK()
				}
				alice.ExpectNothing(time.Minute)
			})
		})
	}
}

func TestProxyAuth(t *testing.T) {
	users := map[string]string{"alice": "wonder", "bob": "builder"}
	inBubble(t, siptest.Options{Users: users, ProxyAuth: true}, func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		challenge := alice.Request(sip.INVITE, "bob").ExpectResponse(407).ACK()
		call := alice.Send(challenge.Authorize("alice", "wonder"))
		inv := bob.Expect(sip.INVITE)
		if inv.Header("Proxy-Authorization") != "" {
			t.Errorf("the proxy let its credentials through:\n%s", inv.Text)
		}
		inv.Respond(200)
		call.ExpectResponse(200).ACK()
		bob.Expect(sip.ACK)
		inv.Dialog().Request(sip.BYE) // no challenge inside the dialog
		alice.Expect(sip.BYE).Respond(200)
	})
}

func TestMalformedMessages(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := newClient(t, srv)
		c.send("OPTIONS sip:example.test SIP/2.0\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1\nFrom: <sip:a@example.test>;tag=1\n" +
			"To: <sip:example.test>\nCall-ID: x\nCSeq: none\n\n")
		if _, data, err := c.ws.ReadMessage(); err != nil || !strings.HasPrefix(string(data), "SIP/2.0 400 Malformed CSeq\r\n") {
			t.Errorf("got %v\n%s", err, data)
		}
		c.send("\n\n") // a keep-alive, RFC 5626 §4.4.1
		if _, data, err := c.ws.ReadMessage(); err != nil || string(data) != "\r\n" {
			t.Errorf("keep-alive answered with %q, %v", data, err)
		}
		c.send("not SIP at all\n\n")
		c.send("SIP/2.0 200 OK\nVia: SIP/2.0/WS elsewhere.invalid;branch=z9hG4bK1\nFrom: <sip:a@example.test>;tag=1\n" +
			"To: <sip:example.test>;tag=2\nCall-ID: x\nCSeq: 1 OPTIONS\n\n")
		if res := c.register(); res.StatusCode() != 200 {
			t.Errorf("the connection does not work any more: %d", res.StatusCode())
		}
		n := srv.Counters()
		if n.Malformed != 2 || n.KeepAlives != 1 || n.Unroutable != 1 {
			t.Errorf("counters %+v", n)
		}
	})
}

func TestStrictRouterBefore(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		// RFC 3261 §16.4: our Record-Route came back as the Request-URI.
		req := alice.NewRequest(sip.MESSAGE, "sip:example.test;lr", siptest.Header("Route", bob.Contact.String()))
		alice.Send(req)
		got := bob.Expect(sip.MESSAGE)
		if got.Request.URI() != bob.Contact.URI || got.Header("Route") != "" {
			t.Errorf("arrived as\n%s", got.Text)
		}
	})
}

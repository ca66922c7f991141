package siptest_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

var personalities = []siptest.Personality{siptest.Asterisk, siptest.FreeSWITCH, siptest.OpenSIPS}

// onEach runs f in a bubble with a server of each personality.
func onEach(t *testing.T, f func(t *testing.T, srv *siptest.Server, p siptest.Personality)) {
	t.Helper()
	for _, p := range personalities {
		t.Run(p.String(), func(t *testing.T) {
			inBubble(t, siptest.Options{Personality: p}, func(t *testing.T, srv *siptest.Server) { f(t, srv, p) })
		})
	}
}

// description is one as a browser sends it, of an end that its fingerprint names.
func description(end, setup string) string {
	return strings.ReplaceAll(strings.ReplaceAll(`v=0
o=- 4611 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=ice-options:ice2
m=audio 5004 UDP/TLS/RTP/SAVPF 111 0
c=IN IP4 10.0.0.3
a=mid:0
a=sendrecv
a=rtcp-mux
a=ice-ufrag:END
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 END
a=setup:`+setup+`
a=tls-id:END
a=candidate:1 1 udp 2130706431 10.0.0.3 5004 typ host
a=end-of-candidates
`, "END", end), "\n", "\r\n")
}

// talk has alice call bob, who answers; after it both dialogs are up. It returns
// alice's side of it and bob's.
func talk(alice, bob *siptest.Script) (a, b *siptest.Dialog) {
	call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")), siptest.Header("Supported", "timer"))
	inv := bob.Expect(sip.INVITE)
	inv.Respond(180)
	call.ExpectResponse(180)
	inv.Respond(200, siptest.SDP(description("B", "active")), siptest.Header("Session-Expires", "1800;refresher=uac"), siptest.Header("Require", "timer"))
	bob.Expect(sip.ACK)
	return call.ExpectResponse(200).ACK().Dialog(), inv.Dialog()
}

// settle answers the re-INVITE that Asterisk sends at once.
func settle(bob *siptest.Script, p siptest.Personality) {
	if p != siptest.Asterisk {
		return
	}
	bob.Expect(sip.INVITE).Respond(200, siptest.SDP(description("B", "active")), siptest.Header("Session-Expires", "1800;refresher=uac"))
	bob.Expect(sip.ACK)
}

func TestLegsAreDialogsOfTheirOwn(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")),
			siptest.Header("X-Ticket", "7"), siptest.Header("Subject", "tea"), siptest.Header("Organization", "March Hare"))
		inv := bob.Expect(sip.INVITE)
		if inv.Request.CallID() == call.Request.CallID() || inv.Request.From().Tag() == call.Request.From().Tag() {
			t.Errorf("the same dialog identifiers on both legs:\n%s", inv.Text)
		}
		contact, _ := inv.Request.Contact()
		if contact.URI.Host != srv.Domain() {
			t.Errorf("Contact %s", contact)
		}
		if inv.Header("X-Ticket") != "7" || inv.Header("Subject") != "tea" || inv.Header("Organization") != "" {
			t.Errorf("fields that passed:\n%s", inv.Text)
		}
		if got, want := inv.Header("Record-Route") != "", p == siptest.OpenSIPS; got != want {
			t.Errorf("Record-Route %q", inv.Header("Record-Route"))
		}
		to := inv.Request.URI()
		if p == siptest.OpenSIPS {
			to = sip.URI{Scheme: "sip", User: "bob", Host: srv.Domain()}
		}
		if inv.Request.To().URI != to {
			t.Errorf("To %s", inv.Request.To())
		}
		if vias, err := inv.Request.Vias(); err != nil || len(vias) != 1 {
			t.Errorf("Via %v, %v", vias, err)
		}
		inv.Respond(180)
		ringing := call.ExpectResponse(180)
		if via := ringing.Response.Via(); !via.Params.Has("received") || !via.Params.Has("rport") {
			t.Errorf("Via %s", via)
		}
		inv.Respond(486)
		bob.Expect(sip.ACK)
		busy := call.ExpectResponse(486).ACK()
		if busy.Response.To().Tag() != ringing.Response.To().Tag() {
			t.Error("another tag in the refusal")
		}
		if reason := busy.Header("Reason"); (reason == "") != (p == siptest.OpenSIPS) || reason != "" && !strings.HasPrefix(reason, "Q.850;cause=17") {
			t.Errorf("Reason %q", reason)
		}
		alice.ExpectNothing(time.Hour)
		bob.ExpectNothing(0)
	})
}

// TestDescriptions: what each server makes of an offer and of its answer.
func TestDescriptions(t *testing.T) {
	for _, tt := range []struct {
		p               siptest.Personality
		profile         string
		offer, answer   []string // that have to be in it
		absent, unasked string   // that must not be in either
	}{
		{p: siptest.Asterisk, offer: []string{"s=Asterisk", "a=mid:0", "a=group:BUNDLE 0", "a=fingerprint:SHA-256 A", "1 UDP 2130706431", "a=setup:actpass"},
			answer: []string{"s=Asterisk", "a=mid:0", "a=fingerprint:SHA-256 B", "a=setup:active", "a=group:BUNDLE 0"}, absent: "a=tls-id", unasked: "a=end-of-candidates"},
		{p: siptest.Asterisk, profile: "RTP/SAVPF", offer: []string{"m=audio 5004 RTP/SAVPF 111 0"}, answer: []string{"m=audio 5004 UDP/TLS/RTP/SAVPF 111 0"}, absent: "a=tls-id", unasked: "a=ice-options"},
		{p: siptest.FreeSWITCH, offer: []string{"o=FreeSWITCH ", "s=FreeSWITCH", "a=fingerprint:sha-256 A"}, answer: []string{"o=FreeSWITCH ", "a=fingerprint:sha-256 B"}, absent: "a=mid", unasked: "a=group"},
		{p: siptest.OpenSIPS, offer: []string{"a=mid:0", "a=tls-id:A", "a=end-of-candidates"}, answer: []string{"a=mid:0", "a=tls-id:B"}, absent: "o=- 4611", unasked: "a=crypto"},
	} {
		t.Run(tt.p.String()+tt.profile, func(t *testing.T) {
			inBubble(t, siptest.Options{Personality: tt.p, Profile: tt.profile}, func(t *testing.T, srv *siptest.Server) {
				alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
				call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")))
				inv := bob.Expect(sip.INVITE)
				answer := description("B", "active")
				if tt.profile != "" {
					answer = strings.Replace(answer, "UDP/TLS/RTP/SAVPF", tt.profile, 1)
				}
				inv.Respond(200, siptest.SDP(answer))
				bob.Expect(sip.ACK)
				ok := call.ExpectResponse(200).ACK()
				for what, c := range map[string]struct {
					body string
					want []string
				}{"offer": {inv.Body(), tt.offer}, "answer": {ok.Body(), tt.answer}} {
					for _, line := range c.want {
						if !strings.Contains(c.body, line) {
							t.Errorf("%s without %q:\n%s", what, line, c.body)
						}
					}
					for _, line := range []string{tt.absent, tt.unasked} {
						if strings.Contains(c.body, line) {
							t.Errorf("%s with %q:\n%s", what, line, c.body)
						}
					}
				}
			})
		})
	}
}

// TestOrigin: RFC 3264 §8: the version of o= rises with a different description,
// and only then. Asterisk's offer inside the call names its role.
func TestOrigin(t *testing.T) {
	inBubble(t, siptest.Options{Personality: siptest.Asterisk}, func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")))
		first := bob.Expect(sip.INVITE)
		first.Respond(200, siptest.SDP(description("B", "active")))
		bob.Expect(sip.ACK)
		call.ExpectResponse(200).ACK()
		second := bob.Expect(sip.INVITE)
		if !strings.Contains(second.Body(), "a=setup:passive") {
			t.Errorf("the role is missing:\n%s", second.Body())
		}
		second.Respond(200, siptest.SDP(description("B", "active")))
		bob.Expect(sip.ACK)
		go srv.Calls()[0].Callee().Reinvite(t.Context())
		third := bob.Expect(sip.INVITE)
		third.Respond(200, siptest.SDP(description("B", "active")))
		bob.Expect(sip.ACK)
		o := func(r *siptest.Received) string {
			for line := range strings.Lines(r.Body()) {
				if strings.HasPrefix(line, "o=") {
					return line
				}
			}
			return ""
		}
		if o(first) == o(second) || o(second) != o(third) {
			t.Errorf("origins\n%s%s%s", o(first), o(second), o(third))
		}
	})
}

func TestOffersGoOn(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		a, b := talk(alice, bob)
		settle(bob, p)

		re := a.Request(sip.INVITE, siptest.SDP(description("A2", "actpass")))
		there := bob.Expect(sip.INVITE)
		if !strings.Contains(there.Body(), "ice-ufrag:A2") {
			t.Errorf("another offer:\n%s", there.Body())
		}
		again := b.Request(sip.INVITE, siptest.SDP(description("B2", "actpass"))) // crosses it
		again.ExpectResponse(491).ACK()
		there.Respond(200, siptest.SDP(description("B2", "active")))
		bob.Expect(sip.ACK)
		if ok := re.ExpectResponse(200).ACK(); !strings.Contains(ok.Body(), "ice-ufrag:B2") {
			t.Errorf("another answer:\n%s", ok.Body())
		}

		update := b.Request(sip.UPDATE, siptest.SDP(description("B3", "actpass")))
		alice.Expect(sip.UPDATE).Respond(488, siptest.Header("Warning", `305 alice "no"`))
		if refused := update.ExpectResponse(488); refused.Response.StatusCode() != 488 {
			t.Error(refused.Text)
		}
		b.Request(sip.UPDATE).ExpectResponse(200) // a refresh, which stays here

		late := b.Request(sip.INVITE)
		at := alice.Expect(sip.INVITE)
		if at.Body() != "" {
			t.Errorf("an offer from nowhere:\n%s", at.Body())
		}
		at.Respond(200, siptest.SDP(description("A4", "actpass")))
		late.ExpectResponse(200).ACK(siptest.SDP(description("B4", "active")))
		if ack := alice.Expect(sip.ACK); !strings.Contains(ack.Body(), "ice-ufrag:B4") {
			t.Errorf("ACK with another answer:\n%s", ack.Text)
		}

		a.Request(sip.BYE).ExpectResponse(200)
		bob.Expect(sip.BYE).Respond(200)
		alice.ExpectNothing(time.Hour)
		bob.ExpectNothing(0)
		if n := len(srv.Calls()); n != 0 {
			t.Errorf("%d calls left", n)
		}
		a.Request(sip.INFO).ExpectResponse(481)
	})
}

// TestReliableProvisional: RSeq and RAck are those of each leg (RFC 3262).
func TestReliableProvisional(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")), siptest.Header("Supported", "100rel"))
		inv := bob.Expect(sip.INVITE)
		if !inv.Request.HasToken("Supported", "100rel") {
			t.Errorf("Supported %q", inv.Header("Supported"))
		}
		inv.Respond(183, siptest.SDP(description("B", "active")), siptest.Header("Require", "100rel"), siptest.Header("RSeq", "4711"))
		early := call.ExpectResponse(183)
		seq, ok := early.Response.RSeq()
		if !ok || !early.Response.HasToken("Require", "100rel") || !strings.Contains(early.Body(), "ufrag:B") {
			t.Fatalf("early answer:\n%s", early.Text)
		}
		rack := sip.RAck{RSeq: seq, CSeq: call.Request.CSeq()}.String()
		prack := early.Dialog().Request(sip.PRACK, siptest.Header("RAck", rack))
		there := bob.Expect(sip.PRACK)
		if want := (sip.RAck{RSeq: 4711, CSeq: inv.Request.CSeq()}).String(); there.Header("RAck") != want {
			t.Errorf("RAck %q, want %q", there.Header("RAck"), want)
		}
		there.Respond(200)
		prack.ExpectResponse(200)
		early.Dialog().Request(sip.PRACK, siptest.Header("RAck", rack)).ExpectResponse(481)

		update := early.Dialog().Request(sip.UPDATE, siptest.SDP(description("A2", "actpass"))) // RFC 3311 §5.1
		bob.Expect(sip.UPDATE).Respond(200, siptest.SDP(description("B2", "active")))
		update.ExpectResponse(200)
		inv.Respond(200)
		bob.Expect(sip.ACK)
		call.ExpectResponse(200).ACK()
	})
}

// TestReliableOffer: an offer in a reliable provisional response has its answer
// in the PRACK (RFC 3262 §5), and stays what the server shows again.
func TestReliableOffer(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.Header("Supported", "100rel"))
		inv := bob.Expect(sip.INVITE)
		inv.Respond(183, siptest.SDP(description("B", "actpass")), siptest.Header("Require", "100rel"), siptest.Header("RSeq", "1"))
		early := call.ExpectResponse(183)
		seq, _ := early.Response.RSeq()
		prack := early.Dialog().Request(sip.PRACK, siptest.SDP(description("A", "active")),
			siptest.Header("RAck", sip.RAck{RSeq: seq, CSeq: call.Request.CSeq()}.String()))
		there := bob.Expect(sip.PRACK)
		if !strings.Contains(there.Body(), "ufrag:A") || strings.Contains(there.Body(), "o=- 4611") {
			t.Errorf("answer:\n%s", there.Body())
		}
		there.Respond(200)
		prack.ExpectResponse(200)
		inv.Respond(200)
		call.ExpectResponse(200).ACK()
		if ack := bob.Expect(sip.ACK); ack.Body() != "" {
			t.Errorf("ACK:\n%s", ack.Text)
		}
		go srv.Calls()[0].Callee().Reinvite(t.Context())
		again := bob.Expect(sip.INVITE)
		if !strings.Contains(again.Body(), "ufrag:A") {
			t.Errorf("shown again:\n%s", again.Body())
		}
		again.Respond(488)
	})
}

// TestSessionTimers: RFC 4028, with the figures of each server.
func TestSessionTimers(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		minimum := map[siptest.Personality]string{siptest.FreeSWITCH: "120"}[p]
		if minimum == "" {
			minimum = "90"
		}
		brief := alice.Request(sip.INVITE, "bob", siptest.Header("Session-Expires", "60")).ExpectResponse(422).ACK()
		if brief.Header("Min-SE") != minimum {
			t.Errorf("Min-SE %q", brief.Header("Min-SE"))
		}

		begin := time.Now()
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")),
			siptest.Header("Supported", "timer"), siptest.Header("Session-Expires", "600;refresher=uac"))
		inv := bob.Expect(sip.INVITE)
		if inv.Header("Session-Expires") != "1800" {
			t.Errorf("Session-Expires %q", inv.Header("Session-Expires"))
		}
		inv.Respond(200, siptest.SDP(description("B", "active")), siptest.Header("Allow", "INVITE, ACK, BYE, UPDATE"),
			siptest.Header("Session-Expires", "1800;refresher=uac"), siptest.Header("Require", "timer"))
		bob.Expect(sip.ACK)
		ok := call.ExpectResponse(200).ACK()
		if ok.Header("Session-Expires") != "600;refresher=uac" || !ok.Response.HasToken("Require", "timer") {
			t.Errorf("granted:\n%s", ok.Text)
		}
		settle(bob, p)
		d := ok.Dialog()
		for range 5 { // alice refreshes, the server does on bob's leg
			time.Sleep(5 * time.Minute)
			d.Request(sip.UPDATE, siptest.Header("Session-Expires", "600;refresher=uac")).ExpectResponse(200)
			if time.Since(begin) != 15*time.Minute {
				continue
			}
			method := sip.INVITE
			if p == siptest.OpenSIPS {
				method = sip.UPDATE
			}
			refresh := bob.Expect(method)
			if refresh.Header("Session-Expires") != "1800;refresher=uac" {
				t.Errorf("refresh:\n%s", refresh.Text)
			}
			refresh.Respond(200, siptest.Header("Session-Expires", "1800;refresher=uac"))
		}
		last := time.Now()
		alice.Expect(sip.BYE).Respond(200) // she has forgotten to
		bob.Expect(sip.BYE).Respond(200)
		if got := time.Since(last); got != 600*time.Second-32*time.Second {
			t.Errorf("ended %v after the last refresh", got)
		}
	})
}

// TestAnswerWithoutACK: RFC 3261 §13.3.1.4.
func TestAnswerWithoutACK(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")))
		bob.Expect(sip.INVITE).Respond(200, siptest.SDP(description("B", "active")))
		bob.Expect(sip.ACK)
		call.ExpectResponse(200)
		settle(bob, p)
		begin := time.Now()
		alice.Expect(sip.BYE).Respond(200)
		bob.Expect(sip.BYE).Respond(200)
		if got := time.Since(begin); got != 32*time.Second {
			t.Errorf("after %v", got)
		}
	})
}

// TestCancelCrossesAnswer: the caller gets its 487, and the callee that had
// answered ACK and BYE (RFC 3261 §9.1).
func TestCancelCrossesAnswer(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")))
		inv := bob.Expect(sip.INVITE)
		inv.Respond(180)
		call.ExpectResponse(180)
		call.Cancel()
		alice.ExpectResponse(487).ACK()
		bob.Expect(sip.CANCEL).Respond(200)
		inv.Respond(200, siptest.SDP(description("B", "active")))
		bob.Expect(sip.ACK)
		bob.Expect(sip.BYE).Respond(200)
		bob.ExpectNothing(time.Hour)
	})
}

// TestForkedLegs: the caller has one dialog with the server whatever rings.
func TestForkedLegs(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, desk, mobile := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")))
		atDesk, atMobile := desk.Expect(sip.INVITE), mobile.Expect(sip.INVITE)
		atDesk.Respond(183, siptest.SDP(description("D", "active")))
		atMobile.Respond(183, siptest.SDP(description("M", "active")))
		first, second := call.ExpectResponse(183), call.ExpectResponse(183)
		if first.Response.To().Tag() != second.Response.To().Tag() || first.Body() == "" || second.Body() != "" {
			t.Errorf("early media:\n%s\n%s", first.Text, second.Text)
		}
		atDesk.Respond(486)
		desk.Expect(sip.ACK)
		atMobile.Respond(200, siptest.SDP(description("M", "active")))
		mobile.Expect(sip.ACK)
		if ok := call.ExpectResponse(200).ACK(); !strings.Contains(ok.Body(), "ufrag:M") {
			t.Errorf("answer:\n%s", ok.Text)
		}
		desk.ExpectNothing(time.Minute)
	})
}

// TestPickUp: an INVITE with Replaces takes the place of a leg (RFC 3891).
func TestPickUp(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob, carol := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "carol")
		_, b := talk(alice, bob)
		settle(bob, p)
		replaces := sip.Replaces{CallID: b.CallID, ToTag: b.Remote.Tag(), FromTag: b.Local.Tag()}
		wrong := replaces
		wrong.FromTag = "nobody"
		carol.Request(sip.INVITE, "alice", siptest.SDP(description("C", "actpass")), siptest.Header("Replaces", wrong.String())).ExpectResponse(481).ACK()

		call := carol.Request(sip.INVITE, "alice", siptest.SDP(description("C", "actpass")), siptest.Header("Replaces", replaces.String()))
		re := alice.Expect(sip.INVITE)
		if !strings.Contains(re.Body(), "ufrag:C") {
			t.Errorf("alice is shown:\n%s", re.Text)
		}
		re.Respond(200, siptest.SDP(description("A2", "active")))
		alice.Expect(sip.ACK)
		ok := call.ExpectResponse(200).ACK()
		if !strings.Contains(ok.Body(), "ufrag:A2") {
			t.Errorf("carol is shown:\n%s", ok.Text)
		}
		bob.Expect(sip.BYE).Respond(200)
		ok.Dialog().Request(sip.BYE).ExpectResponse(200)
		alice.Expect(sip.BYE).Respond(200)
	})
}

// TestReferNotifies: the subscription of a REFER, message by message (RFC 3515).
func TestReferNotifies(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob, carol := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "carol")
		a, _ := talk(alice, bob)
		settle(bob, p)
		a.Request(sip.REFER).ExpectResponse(400)
		refer := a.Request(sip.REFER, siptest.Header("Refer-To", "<sip:carol@example.test>"), siptest.Header("Referred-By", "<sip:alice@example.test>"))
		refer.ExpectResponse(202)
		var heard []string
		hear := func() {
			n := alice.Expect(sip.NOTIFY)
			n.Respond(200)
			heard = append(heard, strings.TrimSpace(n.Body())+" "+n.Request.Header("Subscription-State"))
		}
		hear()
		inv := carol.Expect(sip.INVITE)
		if inv.Body() != "" || inv.Header("Referred-By") != "<sip:alice@example.test>" || inv.Request.From().URI.User != "bob" {
			t.Errorf("INVITE to carol:\n%s", inv.Text)
		}
		inv.Respond(180)
		want := []string{"SIP/2.0 100 Trying active;expires=60", "SIP/2.0 200 OK terminated;reason=noresource"}
		if p == siptest.Asterisk {
			hear()
			want = slices.Insert(want, 1, "SIP/2.0 180 Ringing active;expires=60")
		}
		inv.Respond(200, siptest.SDP(description("C", "actpass")))
		re := bob.Expect(sip.INVITE)
		if !strings.Contains(re.Body(), "ufrag:C") || !strings.Contains(re.Body(), "a=setup:actpass") {
			t.Errorf("bob is shown:\n%s", re.Text)
		}
		re.Respond(200, siptest.SDP(description("B2", "active")))
		bob.Expect(sip.ACK)
		if ack := carol.Expect(sip.ACK); !strings.Contains(ack.Body(), "ufrag:B2") {
			t.Errorf("carol is shown:\n%s", ack.Text)
		}
		hear()
		alice.Expect(sip.BYE).Respond(200)
		if !slices.Equal(heard, want) {
			t.Errorf("alice is told %q", heard)
		}
		calls := srv.Calls()
		if len(calls) != 1 || calls[0].Of("bob") == nil || calls[0].Of("carol") == nil || calls[0].Of("alice") != nil {
			t.Errorf("calls %v", calls)
		}
		calls[0].Hangup()
		bob.Expect(sip.BYE).Respond(200)
		carol.Expect(sip.BYE).Respond(200)
	})
}

// TestTransferFails: a leg that refuses its new far end keeps the old one.
func TestTransferFails(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob, carol := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "carol")
		a, _ := talk(alice, bob)
		settle(bob, p)
		outcome := make(chan error, 1)
		leg := srv.Calls()[0].Caller()
		go func() { outcome <- leg.Transfer(t.Context(), "carol") }()
		carol.Expect(sip.INVITE).Respond(200, siptest.SDP(description("C", "actpass")))
		alice.Expect(sip.INVITE).Respond(491)
		alice.Expect(sip.INVITE).Respond(488) // after a while, once more
		carol.Expect(sip.ACK)
		carol.Expect(sip.BYE).Respond(200)
		if err := <-outcome; !errors.Is(err, sip.StatusNotAcceptableHere) {
			t.Errorf("Transfer: %v", err)
		}
		info := a.Request(sip.INFO)
		bob.Expect(sip.INFO).Respond(200)
		info.ExpectResponse(200)
		if err := leg.Transfer(t.Context(), "nobody"); !errors.Is(err, sip.StatusNotFound) {
			t.Errorf("Transfer to nobody: %v", err)
		}
	})
}

func TestConnectionsAreWatched(t *testing.T) {
	inBubble(t, siptest.Options{Personality: siptest.Asterisk, Qualify: time.Minute}, func(t *testing.T, srv *siptest.Server) {
		alice := siptest.Peer(t, srv, "alice")
		for range 3 {
			begin := time.Now()
			alice.Expect(sip.OPTIONS).Respond(200)
			if got := time.Since(begin); got != time.Minute {
				t.Errorf("after %v", got)
			}
		}
		synctest.Wait()
		if n := srv.Counters().Qualified; n != 3 {
			t.Errorf("%d answers counted", n)
		}
	})
}

// TestMessageIsTakenFirst: Asterisk and FreeSWITCH answer before they deliver.
func TestMessageIsTakenFirst(t *testing.T) {
	for _, p := range personalities[:2] {
		inBubble(t, siptest.Options{Personality: p}, func(t *testing.T, srv *siptest.Server) {
			alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
			sent := alice.Request(sip.MESSAGE, "bob", siptest.Body("text/plain", "tea?"))
			sent.ExpectResponse(202)
			got := bob.Expect(sip.MESSAGE)
			if got.Body() != "tea?" || got.Request.CallID() == sent.Request.CallID() {
				t.Errorf("%s: delivered:\n%s", p, got.Text)
			}
			got.Respond(486)
			alice.Request(sip.MESSAGE, "nobody").ExpectResponse(404)
			alice.ExpectNothing(time.Minute)
		})
	}
}

// TestPersonalityChallenges: 401 or 407, and never an empty user.
func TestPersonalityChallenges(t *testing.T) {
	for _, p := range personalities {
		o := siptest.Options{Personality: p, Users: map[string]string{"alice": "wonderland", "bob": "builder"}}
		inBubble(t, o, func(t *testing.T, srv *siptest.Server) {
			alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
			code := sip.StatusProxyAuthenticationRequired
			if p == siptest.Asterisk {
				code = sip.StatusUnauthorized
			}
			refused := alice.Request(sip.INVITE, "bob").ExpectResponse(code).ACK()
			alice.Send(refused.Authorize("alice", "queen of hearts")).ExpectResponse(code).ACK()
			call := alice.Send(refused.Authorize("alice", "wonderland"))
			inv := bob.Expect(sip.INVITE)
			if inv.Header("Authorization")+inv.Header("Proxy-Authorization") != "" {
				t.Errorf("%s: credentials went on:\n%s", p, inv.Text)
			}
			inv.Respond(603)
			call.ExpectResponse(603).ACK()
		})
	}
}

// TestOpenSIPSWebSocket: it wants an Origin, and messages of one frame.
func TestOpenSIPSWebSocket(t *testing.T) {
	inBubble(t, siptest.Options{Personality: siptest.OpenSIPS}, func(t *testing.T, srv *siptest.Server) {
		d := websocket.Dialer{Subprotocols: []string{"sip"}, NetDialContext: srv.DialContext, WriteBufferSize: 64}
		if _, res, err := d.Dial(srv.URL(), nil); err == nil || res.StatusCode != http.StatusForbidden {
			t.Fatalf("without Origin: %v", err)
		}
		ws, _, err := d.Dial(srv.URL(), http.Header{"Origin": {"https://example.test"}})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		options := "OPTIONS sip:example.test SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n" +
			"To: <sip:example.test>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
		write := func(kind int, text string) {
			t.Helper()
			if err := ws.WriteMessage(kind, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		write(websocket.PingMessage, "")
		write(websocket.TextMessage, options[:40])              // one frame, of no use
		ws.WriteMessage(websocket.TextMessage, []byte(options)) // more than the buffer: several, and it closes at the first
		_, _, err = ws.ReadMessage()
		if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
			t.Errorf("after fragments: %v", err)
		}
	})
	inBubble(t, siptest.Options{Personality: siptest.OpenSIPS}, func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		for _, size := range []int{10, 100, 200, 60_000, 100_000} { // each length of a frame's head
			m := alice.Request(sip.MESSAGE, "bob", siptest.Body("text/plain", strings.Repeat("x", size)))
			bob.Expect(sip.MESSAGE).Respond(200)
			m.ExpectResponse(200)
		}
	})
}

// TestRestartForgetsCalls: a leg of before is unknown after a crash.
func TestRestartForgetsCalls(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		talk(alice, bob)
		leg := srv.Calls()[0].Caller()
		srv.Restart(true)
		if n := len(srv.Calls()); n != 0 {
			t.Errorf("%d calls", n)
		}
		if err := leg.Reinvite(t.Context()); err == nil {
			t.Error("re-INVITE after the end")
		}
	})
}

// TestPersonalityNames: they are what subtests are called.
func TestPersonalityNames(t *testing.T) {
	for p, want := range map[siptest.Personality]string{
		siptest.Plain: "plain", siptest.Asterisk: "asterisk", siptest.FreeSWITCH: "freeswitch", siptest.OpenSIPS: "opensips",
	} {
		if p.String() != want {
			t.Errorf("%d is %s", p, p)
		}
	}
}

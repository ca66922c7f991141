package siptest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// Descriptions that are none do not end the server, whichever side they come
// from.
func TestOddDescriptions(t *testing.T) {
	for _, odd := range []string{"m=", "v=0\r\nm=\r\nm=x\r\n", "m=audio\r\na=mid:0\r\n", "v=0\r\nm=audio 1\r\nm=\r\na=setup:active\r\n"} {
		onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
			alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
			for _, d := range [][2]string{{odd, description("B", "active")}, {description("A", "actpass"), odd}, {odd, odd}} {
				call := alice.Request(sip.INVITE, "bob", siptest.SDP(d[0]))
				inv := bob.Expect(sip.INVITE)
				inv.Respond(200, siptest.SDP(d[1]))
				bob.Expect(sip.ACK)
				a := call.ExpectResponse(200).ACK().Dialog()
				if p == siptest.Asterisk {
					bob.Expect(sip.INVITE).Respond(488)
					bob.Expect(sip.ACK)
				}
				a.Request(sip.BYE).ExpectResponse(200)
				bob.Expect(sip.BYE).Respond(200)
			}
		})
	}
}

// Who has hung up while the far end was asked for an offer gets none.
func TestHangupWhileTheFarEndIsAskedForAnOffer(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob, carol := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "carol")
		a, b := talk(alice, bob)
		settle(bob, p)
		re := a.Request(sip.INVITE)
		asked := bob.Expect(sip.INVITE)
		b.Request(sip.REFER, siptest.Header("Refer-To", "<sip:carol@"+srv.Domain()+">")).ExpectResponse(202)
		bob.Expect(sip.NOTIFY).Respond(200)
		ringing := carol.Expect(sip.INVITE)
		ringing.Respond(180)
		a.Request(sip.BYE).ExpectResponse(200)
		re.ExpectResponse(487).ACK()
		asked.Respond(200, siptest.SDP(description("B", "actpass")))
		bob.Expect(sip.ACK)
	})
}

// A caller that never confirms the answer of a callee who has hung up since is
// told so.
func TestUnconfirmedCallEnds(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob", siptest.SDP(description("A", "actpass")))
		inv := bob.Expect(sip.INVITE)
		inv.Respond(200, siptest.SDP(description("B", "active")))
		bob.Expect(sip.ACK)
		call.ExpectResponse(200)
		settle(bob, p)
		inv.Dialog().Request(sip.BYE).ExpectResponse(200)
		alice.ExpectNothing(31 * time.Second)
		time.Sleep(2 * time.Second)
		alice.Expect(sip.BYE).Respond(200)
	})
}

// A REFER cannot replace a leg by itself.
func TestReferToOneself(t *testing.T) {
	onEach(t, func(t *testing.T, srv *siptest.Server, p siptest.Personality) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		a, b := talk(alice, bob)
		settle(bob, p)
		bye := a.NewRequest(sip.BYE)
		replaces := bye.CallID() + "%3Bto-tag%3D" + bye.To().Tag() + "%3Bfrom-tag%3D" + bye.From().Tag()
		a.Request(sip.REFER, siptest.Header("Refer-To", "<sip:bob@"+srv.Domain()+"?Replaces="+replaces+">")).ExpectResponse(202)
		for range 2 {
			n := alice.Expect(sip.NOTIFY)
			n.Respond(200)
			if body := n.Text; n.Request.Header("Subscription-State") == "terminated;reason=noresource" {
				if want := "SIP/2.0 481"; !strings.Contains(body, want) {
					t.Errorf("want %s in\n%s", want, body)
				}
			}
		}
		b.Request(sip.BYE).ExpectResponse(200)
		alice.Expect(sip.BYE).Respond(200)
	})
}

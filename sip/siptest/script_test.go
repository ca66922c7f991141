package siptest_test

import (
	"testing"
	"testing/synctest"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/sip/siptest"
)

func newServer(t *testing.T, o siptest.Options) *siptest.Server {
	t.Helper()
	srv, err := siptest.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv
}

func TestPeersRegisterAndCall(t *testing.T) {
	for name, o := range map[string]siptest.Options{
		"open":         {},
		"record route": {RecordRoute: true},
		"MD5":          {Users: map[string]string{"alice": "wonder", "bob": "builder"}},
		"SHA-512-256":  {Users: map[string]string{"alice": "wonder", "bob": "builder"}, Algorithms: []digest.Algorithm{digest.SHA512256, digest.SHA256, digest.MD5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t, o)
				alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")

				call := alice.Request(sip.INVITE, "bob", siptest.SDP("v=0\r\n"))
				call.ExpectResponse(100)
				inv := bob.Expect(sip.INVITE)
				if inv.Body() != "v=0\r\n" || inv.Header("Max-Forwards") != "69" {
					t.Errorf("INVITE as it arrived:\n%s", inv.Text)
				}
				inv.Respond(180)
				call.ExpectResponse(180)
				inv.Respond(200, siptest.SDP("v=0\r\n"))
				ok := call.ExpectResponse(200).ACK()
				bob.Expect(sip.ACK)

				bye := inv.Dialog().Request(sip.BYE)
				alice.Expect(sip.BYE).Respond(200)
				bye.ExpectResponse(200)

				msg := ok.Dialog().Request(sip.MESSAGE, siptest.Body("text/plain", "hello"))
				if got := bob.Expect(sip.MESSAGE).Respond(481).Body(); got != "hello" {
					t.Errorf("body %q", got)
				}
				msg.ExpectResponse(481)
				alice.ExpectNothing(0)
				bob.ExpectNothing(0)
			})
		})
	}
}

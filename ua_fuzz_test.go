package sipua_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// blank is media that takes every description.
type blank struct{ session.Media }

func (blank) NewMedia(session.MediaOptions) (session.Media, error) { return blank{}, nil }
func (blank) Offer(context.Context, session.OfferOptions) (session.Description, error) {
	return session.Description{ContentType: "application/sdp", Body: []byte("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n")}, nil
}
func (m blank) Answer(ctx context.Context, _ session.Description, o session.OfferOptions) (session.Description, session.MediaState, error) {
	d, err := m.Offer(ctx, o)
	return d, session.MediaState{}, err
}
func (blank) SetAnswer(context.Context, session.Description, session.AnswerInfo) (session.MediaState, error) {
	return session.MediaState{}, nil
}
func (blank) Abandon()                   {}
func (blank) Mute(session.MuteSet, bool) {}
func (blank) Close() error               { return nil }

// FuzzUA puts bytes, a frame for each part between two lines of "%%", into a
// UA that has a call up and makes another. Whatever comes, it neither panics
// nor hangs, and answers what it is asked next over the same connection. In the
// input $C, $L and $R stand for the Call-ID, local and remote tag of the call
// that is up, $c, $l and $b for the Call-ID, local tag and branch of the one
// being made.
func FuzzUA(f *testing.F) {
	const invite = "INVITE sip:alice@x.invalid SIP/2.0\r\nVia: SIP/2.0/WS p.invalid;branch=z9hG4bKf1\r\nFrom: <sip:b@x>;tag=f\r\nTo: <sip:alice@x>\r\nCall-ID: f1\r\nCSeq: 1 INVITE\r\nContact: <sip:b@p.invalid>\r\nMax-Forwards: 70\r\n"
	inside := func(method, more string) string {
		return method + " sip:alice@x.invalid SIP/2.0\r\nVia: SIP/2.0/WS p.invalid;branch=z9hG4bKg" + method + "\r\nFrom: <sip:bob@example.com>;tag=$R\r\nTo: <sip:alice@example.com>;tag=$L\r\nCall-ID: $C\r\nCSeq: 900 " + method + "\r\nContact: <sip:b@p.invalid>\r\nMax-Forwards: 70\r\n" + more
	}
	response := func(status, more string) string {
		return "SIP/2.0 " + status + "\r\nVia: SIP/2.0/WS ua.invalid;branch=$b\r\nFrom: <sip:alice@example.com>;tag=$l\r\nTo: <sip:carol@example.com>;tag=q\r\nCall-ID: $c\r\nCSeq: 1 INVITE\r\n" + more
	}
	const sdp = "Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"
	for _, seed := range []string{
		"", "\r\n\r\n", "\x00", "SIP/2.0 200 OK\r\n\r\n", "OPTIONS sip:a SIP/2.0\r\n\r\n",
		invite + "\r\n", invite + sdp, invite + sdp + "%%\r\n" + strings.ReplaceAll(invite, "INVITE", "CANCEL") + "\r\n",
		inside("INVITE", sdp), inside("UPDATE", sdp), inside("BYE", "\r\n"), inside("INFO", "Content-Type: application/dtmf-relay\r\n\r\nSignal=1\r\n"),
		inside("NOTIFY", "Event: refer\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n\r\nSIP/2.0 100 Trying"),
		inside("REFER", "Refer-To: <sip:x@y>\r\n\r\n"), inside("MESSAGE", "\r\nhi"), inside("ACK", "\r\n"), inside("PRACK", "RAck: 1 1 INVITE\r\n\r\n"),
		inside("INVITE", "\r\n") + "%%\r\n" + inside("BYE", "\r\n") + "%%\r\n" + inside("ACK", sdp),
		response("180 Ringing", "Contact: <sip:c@p.invalid>\r\n\r\n"), response("183 X", "Contact: <sip:c@p.invalid>\r\n"+sdp),
		response("200 OK", "Contact: <sip:c@p.invalid>\r\n"+sdp), response("200 OK", "\r\n"), response("486 Busy", "\r\n"),
		response("401 No", "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n\r\n"), response("302 Moved", "Contact: <sip:z@z>\r\n\r\n"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		if strings.Count(input, "%%") > 20 || len(input) > 20<<10 {
			t.Skip("larger than it need be")
		}
		synctest.Test(t, func(t *testing.T) { feed(t, input) })
	})
}

// feed is one run of FuzzUA.
func feed(t *testing.T, input string) {
	srv, err := siptest.NewServer(siptest.Options{Domain: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	raw := siptest.ExpectConn(t, srv)
	cfg := sipua.Config{
		URI: "sip:alice@example.com", WSServers: sipua.Servers(srv.URL()), DialContext: srv.DialContext,
		STUNServers: []string{}, Media: blank{}, Register: new(bool), Password: "secret",
	}
	cfg.Handler.Call = func(*session.Incoming) {}
	cfg.Handler.Message = func(context.Context, *sip.Request) sip.StatusCode { return sip.StatusOK }
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ua.Close()
	started := make(chan error, 1)
	go func() { started <- ua.Start(t.Context()) }()
	conn := raw.Accept()
	if err := <-started; err != nil {
		t.Fatal(err)
	}

	up, err := ua.Invite(t.Context(), "bob", nil)
	if err != nil {
		t.Fatal(err)
	}
	first := request(t, conn, sip.INVITE)
	ok := sip.NewResponse(first, 200, "")
	ok.SetTo(first.To().WithTag("bob"))
	ok.SetHeader("Contact", "<sip:bob@p.invalid>")
	ok.SetBody("application/sdp", []byte("v=0\r\n"))
	conn.WriteText(string(ok.AppendTo(nil)))
	request(t, conn, sip.ACK)
	if _, err := ua.Invite(t.Context(), "carol", nil); err != nil {
		t.Fatal(err)
	}
	second := request(t, conn, sip.INVITE)

	input = strings.NewReplacer("$C", up.CallID(), "$L", up.Dialog().LocalTag, "$R", up.Dialog().RemoteTag,
		"$c", second.CallID(), "$l", second.From().Tag(), "$b", second.Via().Branch()).Replace(input)
	for frame := range strings.SplitSeq(input, "%%\r\n") {
		conn.WriteText(frame)
		synctest.Wait()
	}
	conn.WriteText("OPTIONS sip:alice@x.invalid SIP/2.0\r\nVia: SIP/2.0/WS p.invalid;branch=z9hG4bKlast\r\nFrom: <sip:z@x>;tag=z\r\n" +
		"To: <sip:alice@x>\r\nCall-ID: last\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
	for {
		text := conn.ReadText() // fails the test when nothing comes any more
		if strings.HasPrefix(text, "SIP/2.0 200 ") && strings.Contains(text, "\r\nCall-ID: last\r\n") {
			return
		}
	}
}

// request reads the next message, which must be a request of that method.
func request(t *testing.T, conn *siptest.RawConn, method sip.Method) *sip.Request {
	t.Helper()
	m, err := sip.Parse([]byte(conn.ReadText()))
	if err != nil {
		t.Fatal(err)
	}
	req, ok := m.(*sip.Request)
	if !ok || req.Method() != method {
		t.Fatalf("want %s, got %s", method, m.AppendTo(nil))
	}
	return req
}

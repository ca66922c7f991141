package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

func TestRegister(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.phone("alice")
		alice.say("register")
		alice.first("registered", "refreshed", true)
		alice.say("unregister")
		alice.first("unregistered")
		if w.srv.Registered("alice") {
			t.Error("still registered")
		}
		alice.say("unregister")
		alice.first("unregistered")
		alice.say("register")
		if e := alice.first("registered"); e["refreshed"] != nil {
			t.Errorf("%v: there was no binding", e)
		}
		rest := alice.quit()
		if names := namesOf(rest); !slices.Equal(names, []string{"unregistered", "disconnected"}) {
			t.Errorf("quit told %v", rest)
		}
		if w.srv.Registered("alice") {
			t.Error("still registered after quit")
		}
	})
}

func TestRegisterOnCommand(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.start("alice", func(o *options) { o.config.Register = new(bool) })
		alice.first("connected", "server", w.srv.URL())
		alice.say("register")
		alice.first("registered")
	})
}

func TestRegistrationFailed(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.start("alice", func(o *options) { o.config.Password = "queen of hearts" })
		e := alice.want("registrationFailed", "cause", "Authentication Error")
		if e["code"] != 401.0 && e["code"] != 403.0 || e["reason"] == nil {
			t.Errorf("%v", e)
		}
		alice.say("register")
		alice.want("error", "command", "register", "cause", "Authentication Error")
		alice.say("message bob hello")
		alice.want("error", "command", "message", "code", 480, "cause", "Unavailable")
	})
}

func TestServerGone(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.phone("alice")
		w.srv.Refuse(siptest.Refusal{})
		w.srv.Drop()
		if e := alice.want("disconnected", "server", w.srv.URL()); e["reason"] == nil {
			t.Errorf("%v", e)
		}
		alice.want("unregistered")
		alice.want("reconnecting", "attempt", 2) // the connection was a young one
		if e := alice.want("disconnected", "server", w.srv.URL()); e["reason"] == nil {
			t.Errorf("%v: a failed attempt", e)
		}
		if e := alice.want("reconnecting", "attempt", 3); e["in"] == 0.0 {
			t.Errorf("%v after a failed attempt", e)
		}
		alice.say("message bob hello") // waits for a connection, but not for ever
		alice.want("error", "command", "message")
		w.srv.Admit()
		alice.want("connected")
		alice.want("registered")
	})
}

func TestCall(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob", func(o *options) { o.config.DisplayName = "Bob the Builder" })
		bob.say("call alice")
		bob.first("calling", "id", 1, "to", "sip:alice@example.com")
		alice.first("incoming", "id", 1, "from", "sip:bob@example.com", "name", "Bob the Builder", "to", "sip:alice@example.com")
		bob.first("progress", "id", 1, "code", 180, "reason", "Ringing")
		alice.say("answer id=1")
		alice.first("answered", "id", 1, "originator", "local")
		bob.first("answered", "id", 1, "originator", "remote")
		for _, s := range []*script{alice, bob} {
			audio(s)
		}
		bob.say("hangup")
		bob.first("ended", "id", 1, "originator", "local", "cause", "Terminated", "status", 0)
		alice.first("ended", "id", 1, "originator", "remote", "cause", "Terminated", "status", 0)
		for _, s := range []*script{alice, bob} {
			s.say("hangup")
			s.first("error", "command", "hangup", "reason", "no call")
		}
	})
}

// audio expects packets to flow both ways, over a path.
func audio(s *script) (e event) {
	s.t.Helper()
	time.Sleep(time.Second)
	s.say("stats")
	e = s.want("stats", "id", 1)
	for _, way := range []string{"Sent", "Received"} {
		packets, bytes := e["packets"+way].(float64), e["bytes"+way].(float64)
		if packets < 45 || bytes != packets*160 {
			s.t.Errorf("%s: %v packets %s, %v bytes in a second or more", s.name, packets, way, bytes)
		}
	}
	for _, side := range []string{"local", "remote"} {
		pair, _ := e["candidatePair"].(map[string]any)
		if end, _ := pair[side].(map[string]any); end["type"] != "host" || end["port"] == 0.0 || !strings.HasPrefix(fmt.Sprint(end["address"]), "10.0.0.") {
			s.t.Errorf("%s: %s candidate %v", s.name, side, end)
		}
	}
	return e
}

func TestAnswerAuto(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob", func(o *options) { o.auto = true })
		alice.say("call bob")
		bob.want("incoming")
		bob.want("answered")
		alice.want("answered")
		bob.say("answer")
		bob.want("error", "command", "answer", "id", 1)
	})
}

// TestRefusals: the ways a call comes to nothing, and what both ends are told.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name           string
		act            func(alice, bob *script)
		caller, callee []any
	}{
		{"reject", func(_, bob *script) { bob.say("reject 486") },
			[]any{"originator", "remote", "cause", "Busy", "status", 486, "reason", "Busy Here"},
			[]any{"originator", "local", "cause", "Rejected", "status", 486}},
		{"decline", func(_, bob *script) { bob.say("reject id=1 603") },
			[]any{"originator", "remote", "cause", "Rejected", "status", 603},
			[]any{"originator", "local", "cause", "Rejected", "status", 603}},
		{"callee hangs up", func(_, bob *script) { bob.say("hangup") },
			[]any{"originator", "remote", "cause", "Unavailable", "status", 480},
			[]any{"originator", "local", "cause", "Rejected", "status", 480}},
		{"caller hangs up", func(alice, _ *script) { alice.say("hangup") },
			[]any{"originator", "local", "cause", "Canceled", "status", 487},
			[]any{"originator", "remote", "cause", "Canceled", "status", 487}},
		{"nobody answers", func(_, _ *script) {},
			[]any{"originator", "remote", "cause", "Unavailable", "status", 480},
			[]any{"originator", "local", "cause", "No Answer", "status", 480}},
		{"callee quits", func(_, bob *script) { bob.say("quit") },
			[]any{"originator", "remote", "cause", "Unavailable", "status", 480},
			[]any{"originator", "local", "cause", "Rejected", "status", 480}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				alice, bob := w.phone("alice"), w.phone("bob")
				alice.say("call bob")
				alice.want("progress")
				bob.want("incoming")
				tt.act(alice, bob)
				alice.want("ended", append(tt.caller, "id", 1)...)
				bob.want("ended", append(tt.callee, "id", 1)...)
				if tt.name == "callee quits" {
					bob.end()
				}
			})
		})
	}
}

func TestCallFails(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.phone("alice")
		for target, want := range map[string][]any{
			"status-486": {"cause", "Busy", "status", 486},
			"status-302": {"cause", "Redirected", "status", 302},
			"nobody":     {"cause", "Not Found", "status", 404},
			"status-488": {"cause", "Incompatible SDP", "status", 488},
		} {
			alice.say("call " + target)
			id := alice.want("calling")["id"]
			alice.want("ended", append(want, "id", id, "originator", "remote")...)
		}
		for _, target := range []string{"sips:bob@example.com", "@", "http://example.com"} {
			alice.say("call " + target)
			alice.want("error", "command", "call")
		}
		alice.say("call id=x bob")
		alice.want("calling", "id", "x")
		alice.want("ended", "id", "x")
	})
}

func TestHold(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		talk(alice, bob)
		for range 2 {
			for _, event := range []string{"hold", "unhold"} {
				alice.say(event)
				alice.want(event, "id", 1, "originator", "local")
				bob.want(event, "id", 1, "originator", "remote")
			}
		}
		alice.say("hold")
		alice.say("hold")
		alice.say("unhold id=1")
		for _, event := range []string{"hold", "hold", "unhold"} {
			alice.first(event, "originator", "local")
		}
		bob.want("hold")
		bob.want("unhold")
	})
}

func TestMute(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		talk(alice, bob)
		audio(alice)
		alice.say("mute")
		alice.want("mute", "id", 1)
		time.Sleep(time.Second)
		sent := func() float64 {
			alice.say("stats")
			return alice.want("stats")["packetsSent"].(float64)
		}
		before := sent()
		time.Sleep(time.Second)
		if after := sent(); after != before {
			t.Errorf("%v packets left while muted", after-before)
		}
		alice.say("unmute")
		alice.want("unmute", "id", 1)
		time.Sleep(time.Second)
		if after := sent(); after <= before {
			t.Error("no packets left after unmute")
		}
	})
}

func TestDTMF(t *testing.T) {
	for transport, way := range map[string]session.DTMFTransport{"rtp": session.DTMFAuto, "info": session.DTMFInfo} {
		t.Run(transport, func(t *testing.T) {
			inWorld(t, func(w *world) {
				alice, bob := w.phone("alice", func(o *options) { o.dtmf = way }), w.phone("bob")
				talk(alice, bob)
				time.Sleep(time.Second)
				alice.say("dtmf 1#a")
				for _, digit := range []string{"1", "#", "A"} {
					bob.first("dtmf", "id", 1, "originator", "remote", "digits", digit, "duration", 100, "transport", transport)
				}
				alice.first("dtmf", "id", 1, "originator", "local", "digits", "1#a")
				alice.say("dtmf 1x")
				alice.first("error", "command", "dtmf", "id", 1)
				alice.say("dtmf 123456")
				alice.say("hangup")
				alice.first("error", "command", "dtmf", "id", 1, "cause", "Terminated")
				alice.first("ended", "id", 1)
			})
		})
	}
}

func TestMessage(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		alice.say("message bob  Grüße,  \"Bob\" 🐇 id=1")
		const words = "Grüße,  \"Bob\" 🐇 id=1"
		if e := bob.first("message", "originator", "remote", "from", "sip:alice@example.com", "to", "sip:bob@example.com", "text", words); e["id"] != nil {
			t.Errorf("%v: it was in no call", e)
		}
		alice.first("message", "originator", "local", "to", "bob", "text", words)
		alice.say("message status-486 hello")
		alice.first("error", "command", "message", "code", 486, "cause", "Busy")
		talk(alice, bob)
		alice.say("message id=1 bob in the call")
		bob.want("message", "id", 1, "text", "in the call", "originator", "remote")
		alice.want("message", "id", 1, "text", "in the call", "originator", "local")
		alice.say("message id=1 hello bob") // hello is not whom we talk to
		alice.want("error", "command", "message", "id", 1)
		for i := range 5 {
			alice.say("message bob %d", i)
		}
		for i := range 5 {
			bob.want("message", "text", i)
		}
	})
}

func TestOptions(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		talk(alice, bob)
		for _, command := range []string{"options bob", "options id=1 sip:bob@example.com"} {
			alice.say(command)
			e := alice.want("options", "code", 200)
			if allow, _ := e["allow"].([]any); !slices.Contains(allow, any("INVITE")) {
				t.Errorf("%s: %v", command, e)
			}
		}
		alice.say("options status-404")
		alice.want("error", "command", "options", "code", 404)
	})
}

// answerSDP answers an offer of audio. Nobody is there, so no media ever flows.
const answerSDP = "v=0\r\no=- 1 1 IN IP4 10.0.0.99\r\ns=-\r\nc=IN IP4 10.0.0.99\r\nt=0 0\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=mid:0\r\na=sendrecv\r\n" +
	"a=rtcp-mux\r\na=setup:passive\r\na=ice-ufrag:aaaa\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n" +
	"a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n"

func TestRefer(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.phone("alice")
		carol := siptest.Peer(w.t, w.srv, "carol")
		alice.say("call carol")
		inv := carol.Expect(sip.INVITE)
		inv.Respond(180).Respond(200, siptest.SDP(answerSDP))
		carol.Expect(sip.ACK)
		alice.want("answered")
		alice.say("refer dave")
		carol.Expect(sip.REFER).Respond(603)
		alice.want("error", "command", "refer", "id", 1, "code", 603)
		alice.say("refer bob")
		r := carol.Expect(sip.REFER)
		if to := r.Header("Refer-To"); !strings.Contains(to, "sip:bob@example.com") {
			t.Errorf("Refer-To %q", to)
		}
		r.Respond(202)
		alice.want("refer", "id", 1, "originator", "local", "to", "bob")
		for i, status := range []string{"180 Ringing", "200 OK"} {
			state := []string{"active", "terminated;reason=noresource"}[i]
			inv.Dialog().Request(sip.NOTIFY, siptest.Header("Event", "refer"), siptest.Header("Subscription-State", state),
				siptest.Body("message/sipfrag", "SIP/2.0 "+status+"\r\n")).ExpectResponse(200)
			code, reason, _ := strings.Cut(status, " ")
			alice.want("refer", "id", 1, "originator", "remote", "code", code, "reason", reason, "final", i == 1)
		}
		carol.Expect(sip.BYE).Respond(200)
		alice.want("ended", "cause", "Terminated", "status", 0)
	})
}

// TestEndedIsLast: what is under way when a call ends is told before its end.
func TestEndedIsLast(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.phone("alice")
		carol := siptest.Peer(w.t, w.srv, "carol")
		alice.say("call carol")
		inv := carol.Expect(sip.INVITE)
		inv.Respond(200, siptest.SDP(answerSDP))
		carol.Expect(sip.ACK)
		alice.want("calling")
		alice.want("answered")
		alice.say("message id=1 carol are you there?")
		carol.Expect(sip.MESSAGE) // and says nothing
		alice.say("hold")
		synctest.Wait()
		inv.Dialog().Request(sip.BYE).ExpectResponse(200)
		alice.first("error", "command", "message", "id", 1, "cause", "Terminated")
		alice.first("error", "command", "hold", "id", 1, "cause", "Terminated")
		alice.first("ended", "id", 1, "originator", "remote")
	})
}

// TestTwoCalls: the newest call is meant where no id is given.
func TestTwoCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob", func(o *options) { o.auto = true })
		for id := 1; id <= 2; id++ {
			alice.say("call bob")
			alice.want("answered", "id", id)
			bob.want("answered", "id", id)
		}
		alice.say("hold")
		alice.want("hold", "id", 2)
		alice.say("hold id=1")
		alice.want("hold", "id", 1)
		alice.say("hangup id=1")
		alice.want("ended", "id", 1)
		bob.want("ended", "id", 1)
		alice.say("unhold id=1")
		alice.want("error", "command", "unhold", "id", 1, "reason", `no call "1"`)
		alice.say("unhold id=2")
		alice.want("unhold", "id", 2)
		alice.say("call id=2 bob")
		alice.want("error", "command", "call", "id", 2)
		alice.say("call id=3 bob")
		alice.want("answered", "id", 3)
		alice.say("call bob") // 3 is taken
		alice.want("answered", "id", 4)
	})
}

// TestBadCommands: each gets an error with its name, and nothing ends.
func TestBadCommands(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.phone("alice")
		for line, want := range map[string][]any{
			"":                         {"reason", "empty line"},
			"   ":                      {"reason", "empty line"},
			"frobnicate":               {"command", "frobnicate", "reason", `unknown command "frobnicate"`},
			"Call bob":                 {"command", "Call"},
			"call":                     {"command", "call", "reason", "usage: call [id=ID] TARGET"},
			"call id=7":                {"command", "call", "id", 7},
			"message bob":              {"command", "message", "reason", "usage: message [id=ID] TARGET TEXT"},
			"options":                  {"command", "options"},
			"reject":                   {"command", "reject"},
			"dtmf":                     {"command", "dtmf"},
			"refer":                    {"command", "refer"},
			"answer":                   {"command", "answer", "reason", "no call"},
			"hold id=9":                {"command", "hold", "id", 9, "reason", `no call "9"`},
			"stats id=":                {"command", "stats", "reason", "id= names no call"},
			"hangup now":               {"command", "hangup"},
			"register please":          {"command", "register"},
			"quit now":                 {"command", "quit"},
			"mute":                     {"command", "mute"},
			"message id=1 bob hi":      {"command", "message", "id", 1},
			"call \x00\x01":            {"command", "call"},
			"\xff\xfe":                 {},
			strings.Repeat("x", 70000): {"reason", "line of more than 65536 bytes"},
			"message bob " + strings.Repeat("x", 200000): {"reason", "line of more than 65536 bytes"},
		} {
			alice.say("%s", line)
			alice.first("error", want...)
		}
		alice.say("call status-180")
		alice.want("calling")
		for line, want := range map[string][]any{
			"reject 486": {"command", "reject"},
			"reject 200": {"command", "reject"},
			"reject abc": {"command", "reject"},
			"hold":       {"command", "hold"},
			"answer":     {"command", "answer"},
			"refer bob":  {"command", "refer"},
		} {
			alice.say("%s", line)
			alice.want("error", want...)
		}
	})
}

// TestInputEnds: what was asked for before is done first.
func TestInputEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		bob := w.phone("bob")
		alice := w.start("alice")
		alice.say("message bob hello")
		fmt.Fprint(alice.stdin, "message bob the line without an end")
		alice.stdin.Close()
		bob.want("message", "text", "hello")
		bob.want("message", "text", "the line without an end")
		rest := namesOf(alice.end())
		end := []string{"disconnected"}
		if slices.Contains(rest, "registered") { // else the messages were faster, and nothing is told of it
			end = []string{"unregistered", "disconnected"}
		}
		if n := len(rest) - len(end); n < 0 || !slices.Equal(rest[n:], end) {
			t.Errorf("events %v", rest)
		}
		if n := strings.Count(strings.Join(rest, " "), "message"); n != 2 {
			t.Errorf("%d outcomes of 2 messages in %v", n, rest)
		}
	})
}

// TestInputEndsWithoutServer: it ends all the same, and soon.
func TestInputEndsWithoutServer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.srv.Refuse(siptest.Refusal{Hang: true})
		alice := w.start("alice")
		begin := time.Now()
		alice.say("message bob hello")
		alice.say("register")
		alice.stdin.Close()
		rest := alice.end()
		if took := time.Since(begin); took > 2*grace {
			t.Errorf("took %v", took)
		}
		commands := map[any]bool{}
		for _, e := range rest {
			commands[e["command"]] = e["event"] == "error"
		}
		if !commands["message"] || !commands["register"] {
			t.Errorf("no errors in %v", rest)
		}
	})
}

func TestQuitInCall(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		talk(alice, bob)
		rest := namesOf(alice.quit())
		of := slices.Index(rest, "ended") // a call's events and the phone's are in order each, not with each other
		if of < 0 || !slices.Equal(slices.Delete(rest, of, of+1), []string{"unregistered", "disconnected"}) {
			t.Errorf("events %v", rest)
		}
		bob.want("ended", "originator", "remote", "cause", "Terminated")
	})
}

// TestAnswerTooLate: the caller gives up first.
func TestAnswerTooLate(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		alice.say("call bob")
		bob.want("incoming")
		bob.say("answer")
		alice.say("hangup")
		alice.want("ended", "id", 1, "originator", "local")
		bob.want("ended", "id", 1)
		bob.say("answer")
		bob.next(func(e event) bool { return e["command"] == "answer" && e["reason"] == "no call" }, "error")
	})
}

func TestHangupWhileAnswering(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		alice.say("call bob")
		bob.want("incoming")
		if _, err := io.WriteString(bob.stdin, "answer\nhangup\n"); err != nil {
			t.Fatal(err)
		}
		bob.want("ended", "id", 1, "originator", "local")
		alice.want("ended", "id", 1, "originator", "remote")
	})
}

func namesOf(events []event) (names []string) {
	for _, e := range events {
		names = append(names, e["event"].(string))
	}
	return names
}

package main

import (
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// TestAttendedTransfer: alice connects bob and carol, who talk then; both of
// her calls are over.
func TestAttendedTransfer(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, carol := w.phone("alice"), w.phone("bob"), w.phone("carol")
		talk(alice, bob)
		alice.say("call id=second carol")
		alice.want("calling", "id", "second")
		carol.want("incoming", "id", 1)
		carol.say("answer")
		alice.want("answered", "id", "second")
		carol.want("answered", "id", 1)
		alice.say("attended 1 second")
		bob.want("referred", "id", 1, "by", "sip:alice@example.com", "attended", true)
		bob.say("follow")
		alice.pick("refer", "originator", "local", "id", 1, "replaces", "second") // bob's 100 may be told before his 202
		bob.want("calling", "id", 2)
		carol.want("incoming", "id", 2, "replaces", 1)
		carol.say("answer id=2")
		carol.want("answered", "id", 2)
		bob.want("answered", "id", 2)
		for range 2 {
			alice.want("ended")
		}
		bob.want("ended", "id", 1, "originator", "remote")
		carol.want("ended", "id", 1)
		bob.say("hangup")
		carol.want("ended", "id", 2, "originator", "remote")
	})
}

// TestDecline: nobody is called without consent.
func TestDecline(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		talk(alice, bob)
		alice.say("refer carol")
		bob.want("referred", "to", "sip:carol@example.com", "attended", false)
		bob.say("decline 200")
		bob.want("error", "command", "decline")
		bob.say("decline 486")
		bob.want("decline", "id", 1, "code", 486)
		alice.want("error", "command", "refer", "code", 486)
		bob.say("follow")
		bob.want("error", "command", "follow", "reason", errNoReferral.Error())
	})
}

// TestRedirect: told, or followed with -redirects follow.
func TestRedirect(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.phone("alice", func(o *options) { o.goOn = true })
		bob, carol := w.phone("bob"), w.phone("carol")
		alice.say("call bob")
		bob.want("incoming")
		bob.say("redirect sips:carol@example.com")
		bob.want("error", "command", "redirect")
		bob.say("redirect carol")
		bob.want("ended", "originator", "local", "status", 302)
		alice.want("redirected", "code", 302, "to", "[sip:carol@example.com]")
		carol.want("incoming", "from", "sip:alice@example.com")
		carol.say("answer")
		alice.want("answered", "id", 1)

		carol.say("call bob")
		bob.want("incoming")
		bob.say("redirect alice")
		carol.want("redirected", "id", 2)
		carol.want("ended", "id", 2, "cause", "Redirected", "status", 302)
	})
}

// TestProgress: early media are heard before the answer, and go on after it.
func TestProgress(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		alice.say("call bob")
		bob.want("incoming")
		alice.want("progress", "code", 180)
		bob.say("progress 486")
		bob.want("error", "command", "progress")
		bob.say("progress 183")
		bob.want("progress", "originator", "local", "code", 183)
		alice.want("progress", "code", 183)
		audio(alice)
		bob.say("answer")
		alice.want("answered")
		audio(alice)
		audio(bob)
	})
}

// TestVideo: added by one side, with the other's consent where it wants to be
// asked, and dropped.
func TestVideo(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob", func(o *options) { o.ask = true })
		talk(alice, bob)
		alice.say("video maybe")
		alice.want("error", "command", "video")
		alice.say("video on")
		bob.want("offer", "id", 1, "method", "INVITE", "video", true)
		bob.say("refuse 488")
		bob.want("refuse", "id", 1, "code", 488)
		alice.want("error", "command", "video", "code", 488)
		alice.say("video on")
		bob.want("offer", "video", true)
		bob.say("accept")
		bob.want("accept", "id", 1)
		alice.want("video", "id", 1, "on", true)
		alice.say("video off")
		bob.want("offer", "video", false)
		bob.say("accept")
		alice.want("video", "id", 1, "on", false)
		bob.say("accept")
		bob.want("accept")
		bob.want("error", "command", "accept", "reason", errNoOffer.Error())
	})
}

func TestRestartICE(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		talk(alice, bob)
		audio(alice)
		alice.say("restart-ice")
		alice.want("restart-ice", "id", 1)
		audio(alice)
		audio(bob)
	})
}

func TestInfo(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		talk(alice, bob)
		alice.say("info text/plain look here id=7")
		alice.want("info", "originator", "local", "type", "text/plain")
		bob.want("info", "originator", "remote", "text", "look here id=7")
	})
}

// TestAnonymous: -anonymous yes keeps our name from the far end.
func TestAnonymous(t *testing.T) {
	inWorld(t, func(w *world) {
		o, _, err := parseFlags([]string{"-anonymous", "yes"}, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		alice := w.phone("alice", func(to *options) { to.anonymous = o.anonymous })
		bob := siptest.Peer(w.t, w.srv, "bob")
		alice.say("call bob")
		inv := bob.Expect(sip.INVITE)
		if from := inv.Header("From"); inv.Request.From().URI.User != "anonymous" {
			t.Errorf("From %s", from)
		}
		inv.Respond(486)
		alice.want("ended", "cause", "Busy")
	})
}

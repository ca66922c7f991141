//go:build interop

package interop_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/intervalpli"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// mirror sends back the video that a call receives, which nothing here can encode.
func (c *uaCall) mirror(track *rtc.LocalTrack) {
	c.u.t.Helper()
	in, err := rtc.Receive(step(c.u.t), c.Session, rtc.Video)
	if err != nil {
		c.u.t.Fatalf("UA of %s: no video: %v", c.u.User, err)
	}
	go func() {
		for {
			p, err := in.ReadRTP()
			if err == nil {
				err = track.WriteRTP(p)
			}
			if err != nil {
				return
			}
		}
	}()
}

// keyframes asks the sender of a video for a whole picture now and then, as the receiver of its mirror image cannot.
func keyframes(t testing.TB) []interceptor.Factory {
	t.Helper()
	f, err := intervalpli.NewReceiverInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	return []interceptor.Factory{f}
}

// TestCallVideoAdded: a call of audio gets video by an offer of ours or of the page, goes on with it, and loses it again.
//
// Only a browser can judge an m-line that joins a bundle which is up, and decodes what it sees on the transport that
// the audio already has.
func TestCallVideoAdded(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		k := startKamailio(t, kamailioOptions{})
		alice, bob := newUA(t, k, "alice", sipua.Config{}), registeredPage(t, k, "bob", peer.opts)
		offer := func(t *testing.T, ours *uaCall, change rtc.Change) {
			t.Helper()
			ours.do("Renegotiate", func(ctx context.Context) error {
				return ours.Renegotiate(ctx, &session.RenegotiateOptions{Change: change})
			})
		}
		for _, byUs := range []bool{true, false} {
			name := peer.name + " adds"
			if byUs {
				name = "we add"
			}
			t.Run(name, func(t *testing.T) {
				track := rtc.NewTrack(rtc.Video)
				if !byUs {
					alice.judge = func(o *session.Offer) {
						if err := o.Accept(&session.AcceptOptions{Change: rtc.Change{Add: []rtc.Track{track}}}); err != nil {
							t.Error(err)
						}
					}
				}
				media := rtc.Options{Codecs: []string{"PCMU", "VP8"}, Interceptors: keyframes(t)}
				ours, theirs := connected(t, alice, bob, byUs, media)
				ours.waitAudio(25)
				theirs.camera()
				if byUs {
					offer(t, ours, rtc.Change{Add: []rtc.Track{track}})
					theirs.waitEvent("reinvite")
				} else {
					theirs.renegotiate()
				}
				ours.mirror(track)
				theirs.waitVideo()
				theirs.waitAudio(25)

				theirs.hold()
				ours.wantHold(false, true)
				theirs.waitNoVideo()
				theirs.unhold()
				ours.wantHold(false, false)
				theirs.waitVideo()
				ours.waitAudio(25)

				offer(t, ours, rtc.Change{Drop: []rtc.Kind{rtc.Video}})
				theirs.waitNoVideo()
				ours.waitAudio(25)
				theirs.waitAudio(25)
				offer(t, ours, rtc.Change{Add: []rtc.Track{track}}) // in the place of the first, under a new mid
				if got := rtc.Streams(ours.Session); len(got) != 2 || got[1].Kind != rtc.Video {
					t.Errorf("the call carries %+v, want video again", got)
				}
				ours.waitAudio(25)
				theirs.waitAudio(25)
				ours.hangup()
				theirs.waitEvent("ended")
			})
		}
	}, jsSIP, sipJS)
}

// TestCallOfferRefused: we refuse the video that a page wants to add, and the call goes on as it was. With JsSIP no refused
// offer can be tried: it ends the call over one.
//
// Only a browser can judge that a 488 leaves its media as they were, as ours.
func TestCallOfferRefused(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newSIPJSPage(t, k, "bob")
	alice.judge = func(o *session.Offer) {
		kinds, err := rtc.Offered(o.Description())
		if _, video := kinds[rtc.Video]; err != nil || !video {
			t.Errorf("offered %v, %v", kinds, err)
		}
		if err := o.Reject(sip.StatusNotAcceptableHere, nil); err != nil {
			t.Error(err)
		}
	}
	ours, theirs := connected(t, alice, bob, false, rtc.Options{Codecs: []string{"PCMU"}})
	ours.waitAudio(25)
	theirs.camera()
	if err := theirs.try("renegotiate", nil); err == nil || !strings.Contains(err.Error(), "answered 488") {
		t.Errorf("the page's offer: %v, want 488", err)
	}
	ours.waitAudio(25)
	theirs.waitAudio(25)
	ours.hangup()
	theirs.waitEvent("ended")
}

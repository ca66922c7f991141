package rtc_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// Two ends of a call without a call: what a session does with its Media.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	events := session.MediaEvents{Connected: func() {}, Disconnected: func() {}, Failed: func(error) {}, DTMF: func(rune, time.Duration) {}}

	tone := rtc.NewTrack(rtc.Audio)
	caller, err := rtc.New(rtc.Options{Tracks: []rtc.Track{tone}, Loopback: true}).NewMedia(session.MediaOptions{Events: events})
	if err != nil {
		log.Fatal(err)
	}
	defer caller.Close()
	callee, err := rtc.New(rtc.Options{Codecs: []string{"PCMU"}, Loopback: true}).NewMedia(session.MediaOptions{Events: events})
	if err != nil {
		log.Fatal(err)
	}
	defer callee.Close()

	offer, err := caller.Offer(ctx, session.OfferOptions{})
	if err != nil {
		log.Fatal(err)
	}
	answer, _, err := callee.Answer(ctx, offer, session.OfferOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := caller.SetAnswer(ctx, answer, session.AnswerInfo{}); err != nil {
		log.Fatal(err)
	}

	codec, err := tone.Ready(ctx) // the path is up: what is written is heard
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the tone goes out in", codec)
	// Output: the tone goes out in PCMU/8000
}

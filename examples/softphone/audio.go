package main

import (
	"context"
	"math"
	"time"

	"github.com/gosipua/sipua/session/rtc"
)

// source is audio to play, as often as there are calls.
type source struct {
	codecs []string // in which it can be had
	open   func() player
}

// player returns frame after frame of a source, in the codec of the call.
type player func(rtc.Codec) rtc.Sample

// openSource returns what -play names; nil for nothing.
func openSource(name string) (*source, error) {
	switch name {
	case "":
		return nil, nil
	case "tone": // Opus would need an encoder
		return &source{codecs: []string{"PCMU", "PCMA"}, open: tone}, nil
	}
	packets, err := readOpus(name)
	if err != nil {
		return nil, err
	}
	return &source{codecs: []string{"opus"}, open: func() player { return repeat(packets) }}, nil
}

// play plays to track until ctx ends, each frame when it is due.
func (p *phone) play(ctx context.Context, track *rtc.LocalTrack) {
	if track == nil {
		return
	}
	next := p.o.play.open()
	go func() {
		codec, err := track.Ready(ctx)
		timer := time.NewTimer(0)
		defer timer.Stop()
		for due := time.Now(); err == nil; {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			if now, ok := track.Codec(); ok {
				codec = now
			}
			frame := next(codec)
			err = track.WriteSample(frame)
			due = due.Add(frame.Duration)
			timer.Reset(time.Until(due))
		}
	}()
}

// tone is a 440 Hz sine at -10 dBm0, in frames of 20 ms.
func tone() player {
	const rate, frame = 8000, 160
	n := 0
	return func(c rtc.Codec) rtc.Sample {
		law := muLaw
		if c.Name == "PCMA" {
			law = aLaw
		}
		b := make([]byte, frame)
		for i := range b {
			b[i] = law(int16(0.22 * 32767 * math.Sin(2*math.Pi*440*float64(n)/rate)))
			n++
		}
		return rtc.Sample{Data: b, Duration: frame * time.Second / rate}
	}
}

// repeat plays packets over and over.
func repeat(packets []rtc.Sample) player {
	n := -1
	return func(rtc.Codec) rtc.Sample {
		n = (n + 1) % len(packets)
		return packets[n]
	}
}

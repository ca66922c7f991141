package rtc

import (
	"strconv"
	"strings"
	"testing"
)

// TestMatch: which formats an answer has, in which order.
func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		codecs []string // of ours
		offer  string   // "payload type:rtpmap" each
		want   string
	}{
		{"offerer's order", nil, "8 0 96:opus/48000/2", "8 0 96"},
		{"ours, configured", []string{"opus", "PCMU"}, "8 0 96:opus/48000/2", "96 0"},
		{"whatever the case", nil, "0:pcmu/8000/1 96:OPUS/48000/2", "0 96"},
		{"one channel of Opus is none", nil, "96:opus/48000 0", "0"},
		{"events on the clocks in use", nil, "0 101:telephone-event/8000 102:telephone-event/48000", "0 101"},
		{"events on both", nil, "96:opus/48000/2 0 101:telephone-event/8000 102:telephone-event/48000", "96 0 101 102"},
		{"events on no clock in use", []string{"opus", "PCMU"}, "96:opus/48000/2 101:telephone-event/8000", "96 101"},
		{"events of Firefox", []string{"opus"}, "109:opus/48000/2 9 0 8 101:telephone-event/8000", "109 101"},
		{"events alone", nil, "101:telephone-event/8000", ""},
		{"unknown", nil, "18 3 97:iLBC/8000", ""},
		{"static type with another meaning", nil, "0:GSM/8000 8", "8"},
		{"twice", nil, "96:opus/48000/2 97:opus/48000/2 0 0", "96 0"},
		{"malformed", nil, "x 999 96:opus 97:opus/0 98:/8000 0", "0"},
		{"G722 when asked for", []string{"G722"}, "9 0", "9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &mediaSection{}
			for f := range strings.FieldsSeq(tt.offer) {
				pt, name, mapped := strings.Cut(f, ":")
				m.formats = append(m.formats, pt)
				if mapped {
					m.lines = append(m.lines, line{'a', "rtpmap:" + pt + " " + name})
				}
			}
			var got []string
			for _, c := range match(m.codecs(), ours(Audio, tt.codecs), tt.codecs != nil) {
				got = append(got, strconv.Itoa(int(c.PayloadType)))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("answer has %q, want %q", s, tt.want)
			}
		})
	}
}

// TestPayloads: a payload type keeps its meaning for the whole call.
func TestPayloads(t *testing.T) {
	p := payloads{}
	p.learn([]Codec{{Name: "iLBC", ClockRate: 8000, PayloadType: 111}, {Name: "opus", ClockRate: 48000, Channels: 2, PayloadType: 120}})
	var got []string
	for _, c := range p.assign(ours(Audio, nil)) {
		got = append(got, strconv.Itoa(int(c.PayloadType)))
	}
	if s := strings.Join(got, " "); s != "120 0 8 110 126" {
		t.Errorf("assigned %q, want Opus where the peer has it and the rest as usual", s)
	}
	p[110] = "something else"
	if c := p.assign([]Codec{{Name: "new", ClockRate: 1, PayloadType: 110}}); c[0].PayloadType != 96 {
		t.Errorf("assigned %d, want the first free one", c[0].PayloadType)
	}
	for pt := range uint8(128) {
		p[pt] = "taken"
	}
	if c := p.assign([]Codec{{Name: "another", ClockRate: 1, PayloadType: 110}}); len(c) != 0 {
		t.Errorf("assigned %+v where nothing is free", c)
	}
}

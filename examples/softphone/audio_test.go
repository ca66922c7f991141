package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gosipua/sipua/session/rtc"
)

// TestG711: the corner values of ITU-T G.711, and that decoding by its tables
// gives back what was encoded, to within half a step.
func TestG711(t *testing.T) {
	for sample, want := range map[int16][2]byte{
		0: {0xFF, 0xD5}, -1: {0x7F, 0x55}, math.MaxInt16: {0x80, 0xAA}, math.MinInt16: {0x00, 0x2A}, 1000: {0xCE, 0xFA}, -1000: {0x4E, 0x7A},
	} {
		if got := [2]byte{muLaw(sample), aLaw(sample)}; got != want {
			t.Errorf("%d: %X, want %X", sample, got, want)
		}
	}
	for sample := math.MinInt16; sample <= math.MaxInt16; sample++ {
		s := int16(sample)
		if got := fromMuLaw(muLaw(s)); abs(got-sample) > 4+abs(sample)/31 && abs(sample) < 32124 {
			t.Fatalf("µ-law: %d became %d", sample, got)
		}
		if got := fromALaw(aLaw(s)); abs(got-sample) > 8+abs(sample)/31 {
			t.Fatalf("A-law: %d became %d", sample, got)
		}
	}
}

func fromMuLaw(b byte) int {
	b = ^b
	x := (int(b&0x0F)<<3+132)<<(b>>4&7) - 132
	if b&0x80 != 0 {
		return -x
	}
	return x
}

func fromALaw(b byte) int {
	b ^= 0x55
	x := int(b&0x0F)<<4 + 8
	if segment := b >> 4 & 7; segment > 0 {
		x = (x + 0x100) << (segment - 1)
	}
	if b&0x80 != 0 {
		return x
	}
	return -x
}

func abs(x int) int { return max(x, -x) }

func TestTone(t *testing.T) {
	for codec, decode := range map[string]func(byte) int{"PCMU": fromMuLaw, "PCMA": fromALaw} {
		next := tone()
		var samples []int
		for range 50 {
			frame := next(rtc.Codec{Name: codec})
			if len(frame.Data) != 160 || frame.Duration != 20*time.Millisecond {
				t.Fatalf("%s: %d bytes of %v", codec, len(frame.Data), frame.Duration)
			}
			for _, b := range frame.Data {
				samples = append(samples, decode(b))
			}
		}
		crossings, peak := 0, 0
		for i, s := range samples[1:] {
			if samples[i] < 0 && s >= 0 {
				crossings++
			}
			peak = max(peak, s)
		}
		if crossings < 438 || crossings > 440 || peak < 7000 || peak > 7600 {
			t.Errorf("%s: %d periods in a second, up to %d", codec, crossings, peak)
		}
	}
}

// page is a page of an Ogg file with the segments given.
func page(serial uint32, table []byte, data ...[]byte) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, oggHeader{Capture: [4]byte{'O', 'g', 'g', 'S'}, Serial: serial, Segments: byte(len(table))})
	b.Write(table)
	b.Write(bytes.Join(data, nil))
	return b.Bytes()
}

// opusHead is the first packet of an Ogg Opus file (RFC 7845 §5.1).
func opusHead(channels, mapping byte) []byte {
	return append([]byte("OpusHead\x01"), channels, 0x38, 1, 0x80, 0xBB, 0, 0, 0, 0, mapping)
}

// opusFile writes a file as encoders do: many packets to a page, one that goes
// on in the next page, and another stream in between.
func opusFile(t *testing.T) (name string, packets [][]byte) {
	t.Helper()
	long := append([]byte{0x08}, bytes.Repeat([]byte{7}, 509)...) // 20 ms of SILK in 510 bytes: two whole segments
	packets = [][]byte{{0xF8, 0xFF, 0xFE}, long, {0xE3, 0x03}, {0x19, 1}}
	tags := []byte("OpusTags")
	return writeFile(t,
		page(7, []byte{19}, opusHead(2, 0)),
		page(7, []byte{8}, tags),
		page(7, []byte{3, 255}, packets[0], long[:255]),
		page(8, []byte{2}, []byte{9, 9}),
		page(7, []byte{255, 0, 2, 2}, long[255:], packets[2], packets[3]),
	), packets
}

func writeFile(t *testing.T, parts ...[]byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "audio.ogg")
	if err := os.WriteFile(name, bytes.Join(parts, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOggFile(t *testing.T) {
	name, packets := opusFile(t)
	source, err := openSource(name)
	if err != nil {
		t.Fatal(err)
	}
	next := source.open()
	for round := range 2 {
		for i, want := range []time.Duration{20 * time.Millisecond, 20 * time.Millisecond, 7500 * time.Microsecond, 120 * time.Millisecond} {
			if s := next(rtc.Codec{}); s.Duration != want || !bytes.Equal(s.Data, packets[i]) {
				t.Errorf("round %d, packet %d: %v, % X", round, i, s.Duration, s.Data)
			}
		}
	}
}

func TestBadFiles(t *testing.T) {
	head, tags := page(7, []byte{19}, opusHead(1, 0)), page(7, []byte{8}, []byte("OpusTags"))
	audio := page(7, []byte{3}, []byte{0xF8, 0xFF, 0xFE})
	for what, parts := range map[string][][]byte{
		"empty":         {},
		"no Ogg":        {[]byte("RIFF, something else altogether, and long enough")},
		"no Opus":       {page(7, []byte{3}, []byte("abc")), tags, audio},
		"surround":      {page(7, []byte{19}, opusHead(6, 1)), tags, audio},
		"no audio":      {head, tags},
		"cut":           {head, tags, audio[:len(audio)-1]},
		"cut in header": {head, tags, audio[:20]},
		"cut in table":  {head, tags, audio[:27]},
	} {
		if _, err := openSource(writeFile(t, parts...)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, err := openSource(filepath.Join(t.TempDir(), "none.ogg")); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestOpusDuration: the table of RFC 6716 §3.1.
func TestOpusDuration(t *testing.T) {
	for _, tt := range []struct {
		packet []byte
		ms     float64
	}{
		{[]byte{0 << 3}, 10}, {[]byte{3 << 3}, 60}, {[]byte{11<<3 | 1}, 120}, {[]byte{12 << 3}, 10}, {[]byte{15<<3 | 2}, 40},
		{[]byte{16 << 3}, 2.5}, {[]byte{31 << 3}, 20}, {[]byte{31<<3 | 3, 6}, 120}, {[]byte{30<<3 | 3, 0xC2}, 20},
		{nil, 0}, {[]byte{31<<3 | 3}, 0}, {[]byte{31<<3 | 3, 7}, 0}, {[]byte{31<<3 | 3, 0}, 0},
	} {
		if got := opusDuration(tt.packet); got != time.Duration(tt.ms*float64(time.Millisecond)) {
			t.Errorf("% X: %v, want %v ms", tt.packet, got, tt.ms)
		}
	}
}

// TestPlayFile: the far end gets the packets of the file, over and over, at
// their pace.
func TestPlayFile(t *testing.T) {
	name, packets := opusFile(t)
	size := 0
	for _, p := range packets {
		size += len(p)
	}
	source, err := openSource(name)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, func(w *world) {
		alice := w.phone("alice", func(o *options) { o.play = source })
		bob := w.phone("bob", func(o *options) { o.play = nil })
		talk(alice, bob)
		time.Sleep(10 * time.Second)
		bob.say("stats")
		e := bob.want("stats", "packetsSent", 0)
		rounds := e["packetsReceived"].(float64) / 4 // of 167.5 ms
		if rounds < 55 || rounds > 60 || math.Abs(e["bytesReceived"].(float64)/rounds-float64(size)) > 10 {
			t.Errorf("%v in 10 s", e)
		}
	})
}

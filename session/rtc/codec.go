package rtc

import (
	"fmt"
	"strconv"
	"strings"
)

// Codec is a codec as a call negotiated it.
type Codec struct {
	Name        string // as in a=rtpmap: "opus", "PCMU"
	ClockRate   uint32 // Hz
	Channels    uint16
	PayloadType uint8
	Fmtp        string // our parameters, as in a=fmtp; may be empty
}

// String returns the codec in the form of a=rtpmap, without the payload type.
func (c Codec) String() string {
	s := c.Name + "/" + strconv.FormatUint(uint64(c.ClockRate), 10)
	if c.Channels > 1 {
		s += "/" + strconv.FormatUint(uint64(c.Channels), 10)
	}
	return s
}

// key tells codecs apart whatever their payload types.
func (c Codec) key() string {
	k := strings.ToLower(c.String())
	if strings.EqualFold(c.Name, "H264") {
		k += ";" + h264Mode(c.Fmtp)
	}
	return k
}

const telephoneEvent = "telephone-event"

func (c Codec) events() bool { return strings.EqualFold(c.Name, telephoneEvent) }

func (c Codec) mimeType(k Kind) string { return k.String() + "/" + c.Name }

// known are the codecs that we can negotiate, with the payload types that an
// offer of ours gives them while they are free.
func known(k Kind) []Codec {
	switch k {
	case Audio:
		return []Codec{
			{Name: "opus", ClockRate: 48000, Channels: 2, PayloadType: 111, Fmtp: "minptime=10;useinbandfec=1"},
			{Name: "PCMU", ClockRate: 8000, Channels: 1, PayloadType: 0},
			{Name: "PCMA", ClockRate: 8000, Channels: 1, PayloadType: 8},
			{Name: "G722", ClockRate: 8000, Channels: 1, PayloadType: 9},
			{Name: telephoneEvent, ClockRate: 48000, Channels: 1, PayloadType: 110, Fmtp: "0-16"},
			{Name: telephoneEvent, ClockRate: 8000, Channels: 1, PayloadType: 126, Fmtp: "0-16"},
		}
	case Video:
		return []Codec{
			{Name: "VP8", ClockRate: 90000, Channels: 1, PayloadType: 96},
			{Name: "H264", ClockRate: 90000, Channels: 1, PayloadType: 102,
				Fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
		}
	}
	return nil
}

// byDefault reports whether c is used when no codecs are configured.
func byDefault(c Codec) bool { return c.Name != "G722" }

// ours are the codecs of a kind that names ask for, in their order; nil names
// are the default. Telephone events go last, with the clocks of the rest and in
// any case with 8000 Hz: Firefox has them on no other, whatever the codec.
func ours(k Kind, names []string) []Codec {
	all := known(k)
	var out []Codec
	if names == nil {
		for _, c := range all {
			if !c.events() && byDefault(c) {
				out = append(out, c)
			}
		}
	}
	for _, n := range names {
		for _, c := range all {
			if strings.EqualFold(c.Name, n) && !c.events() {
				out = append(out, c)
			}
		}
	}
	media := out
	if len(media) == 0 {
		return nil
	}
	for _, e := range all {
		if e.events() && (e.ClockRate == 8000 || anyClock(media, e.ClockRate)) {
			out = append(out, e)
		}
	}
	return out
}

// checkCodecs refuses names that no codec of ours has.
func checkCodecs(names []string) error {
	for _, n := range names {
		found := strings.EqualFold(n, telephoneEvent)
		for _, k := range [...]Kind{Audio, Video} {
			for _, c := range known(k) {
				found = found || strings.EqualFold(c.Name, n)
			}
		}
		if !found {
			return fmt.Errorf("rtc: unknown codec %q", n)
		}
	}
	return nil
}

// static returns the codec of a payload type that needs no a=rtpmap
// (RFC 3551 §6), as far as we have it.
func static(pt uint8) (Codec, bool) {
	switch pt {
	case 0, 8, 9:
		for _, c := range known(Audio) {
			if c.PayloadType == pt {
				return c, true
			}
		}
	}
	return Codec{}, false
}

// codecs reads the formats of a section in their order; those that mean
// nothing are left out.
func (m *mediaSection) codecs() []Codec {
	var out []Codec
	for _, f := range m.formats[:min(len(m.formats), maxFormats)] {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		c, ok := static(uint8(pt))
		if v, mapped := formatAttr(m.lines, "rtpmap", f); mapped {
			c, ok = parseRTPMap(v)
		}
		if !ok {
			continue
		}
		c.PayloadType = uint8(pt)
		c.Fmtp, _ = formatAttr(m.lines, "fmtp", f)
		out = append(out, c)
	}
	return out
}

// formatAttr returns the value of an attribute that belongs to one format.
func formatAttr(lines []line, name, format string) (string, bool) {
	for v := range attrs(lines, name) {
		if f, rest, ok := strings.Cut(v, " "); ok && f == format {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

func parseRTPMap(v string) (Codec, bool) {
	name, rest, ok := strings.Cut(v, "/")
	if !ok || name == "" {
		return Codec{}, false
	}
	clock, channels, _ := strings.Cut(rest, "/")
	hz, err := strconv.ParseUint(clock, 10, 32)
	if err != nil || hz == 0 {
		return Codec{}, false
	}
	c := Codec{Name: name, ClockRate: uint32(hz), Channels: 1}
	if n, err := strconv.ParseUint(channels, 10, 16); err == nil && n > 0 {
		c.Channels = uint16(n)
	}
	return c, true
}

// match pairs what the peer described with what we have and returns our
// codecs under the peer's payload types: in the peer's order, or in ours when
// it was configured. Without a codec that carries media there is no match.
func match(theirs, have []Codec, oursFirst bool) []Codec {
	var out []Codec
	for _, t := range theirs {
		for _, h := range have {
			if t.key() != h.key() || has(out, h) {
				continue
			}
			h.PayloadType = t.PayloadType
			switch {
			case h.events():
				both := parseEvents(h.Fmtp) & parseEvents(t.Fmtp)
				if both == 0 {
					continue
				}
				h.Fmtp = both.String()
			case strings.EqualFold(h.Name, "H264"):
				h.Fmtp = t.Fmtp
			}
			out = append(out, h)
		}
	}
	if oursFirst {
		out = reorder(out, have)
	}
	return pairEvents(out)
}

func has(list []Codec, c Codec) bool {
	for _, l := range list {
		if l.key() == c.key() {
			return true
		}
	}
	return false
}

func reorder(list, order []Codec) []Codec {
	var out []Codec
	for _, o := range order {
		for _, c := range list {
			if c.key() == o.key() {
				out = append(out, c)
			}
		}
	}
	return out
}

// eventSet has a bit for each telephone event, up to 31.
type eventSet uint32

func (s eventSet) has(event int) bool { return s&(1<<event) != 0 }

// parseEvents reads the parameters of telephone-event; without any they are
// 0 to 15 (RFC 4733 §2.4.1, §7.1.1).
func parseEvents(fmtp string) eventSet {
	if fmtp == "" {
		fmtp = "0-15"
	}
	var s eventSet
	for r := range strings.SplitSeq(strings.TrimPrefix(fmtp, "events="), ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(r), "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 8)
		b, err2 := strconv.ParseUint(to, 10, 8)
		if err1 != nil || err2 != nil {
			continue
		}
		for e := a; e <= min(b, 31); e++ {
			s |= 1 << e
		}
	}
	return s
}

// String returns the events as in a=fmtp.
func (s eventSet) String() string {
	var b []byte
	for e := 0; e < 32; e++ {
		if !s.has(e) {
			continue
		}
		if b != nil {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(e), 10)
		first := e
		for s.has(e + 1) {
			e++
		}
		if e > first {
			b = strconv.AppendInt(append(b, '-'), int64(e), 10)
		}
	}
	return string(b)
}

// pairEvents keeps the telephone events whose clock is that of a codec in the
// list; where there is none, the first (RFC 4733 §2.5.1.1 wants one clock).
func pairEvents(list []Codec) []Codec {
	var media, paired, rest []Codec
	for _, c := range list {
		if !c.events() {
			media = append(media, c)
		}
	}
	if media == nil {
		return nil
	}
	for _, c := range list {
		switch {
		case !c.events():
		case anyClock(media, c.ClockRate):
			paired = append(paired, c)
		default:
			rest = append(rest, c)
		}
	}
	if paired == nil && rest != nil {
		paired = rest[:1]
	}
	return append(media, paired...)
}

func anyClock(list []Codec, hz uint32) bool {
	for _, c := range list {
		if c.ClockRate == hz {
			return true
		}
	}
	return false
}

// h264Mode is what must agree between two H.264 formats (RFC 6184 §8.2.2):
// packetization-mode and, as we have but one, the baseline profile.
func h264Mode(fmtp string) string {
	mode, profile := "0", "42"
	for p := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch strings.ToLower(k) {
		case "packetization-mode":
			mode = v
		case "profile-level-id":
			if len(v) >= 2 {
				profile = strings.ToLower(v[:2])
			}
		}
	}
	return mode + ";" + profile
}

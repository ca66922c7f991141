package rtc

import (
	"time"

	"github.com/pion/rtp"
)

// timeline numbers the packets of a stream. The application's own numbers and
// times are kept but for an offset, which takes up what is dropped, put in
// between, or begun anew.
type timeline struct {
	seq   uint16 // of the newest packet out
	stamp uint32 // its timestamp
	at    time.Time
	begun bool // at counts

	run      bool   // in, ssrc and sent belong to a run of packets
	in       uint16 // newest sequence number of the application's
	ssrc     uint32
	sent     uint64 // bit i: in-i went out
	seqShift uint16
	tsShift  uint32
}

// reordered bounds how far behind a late packet may be; farther ahead than
// gap, or where it was before, the application has begun anew.
const (
	reordered = 64
	gap       = 1000
)

func newTimeline() timeline {
	return timeline{seq: uint16(random32()), stamp: random32()}
}

// now is the timestamp of this moment on a clock of hz, which starts with the
// first time that it is asked.
func (t *timeline) now(hz uint32) uint32 {
	if !t.begun {
		t.at, t.begun = time.Now(), true
	}
	return t.stamp + uint32(uint64(time.Since(t.at))*uint64(hz)/uint64(time.Second))
}

// continues reports whether h belongs to the run of packets before it.
func (t *timeline) continues(h *rtp.Header) bool {
	if !t.run || h.SSRC != t.ssrc {
		return false
	}
	ahead := int16(h.SequenceNumber - t.in)
	if ahead > 0 {
		return ahead < gap
	}
	return ahead > -reordered && t.sent&(1<<-ahead) == 0
}

// cut ends the run: what follows is another track's, or in another codec.
func (t *timeline) cut() { t.run = false }

// drop notes a packet that does not go out: no number is spent on it.
func (t *timeline) drop(h *rtp.Header) {
	if !t.continues(h) {
		t.run = false
		return
	}
	if ahead := int16(h.SequenceNumber - t.in); ahead > 0 {
		t.seqShift -= uint16(ahead)
		t.in, t.sent = h.SequenceNumber, t.sent<<ahead|1
	}
}

// next gives a packet of the application's its number and time.
func (t *timeline) next(h *rtp.Header, hz uint32) {
	if !t.continues(h) {
		t.run, t.in, t.ssrc, t.sent = true, h.SequenceNumber, h.SSRC, 0
		t.seqShift = t.seq + 1 - h.SequenceNumber
		t.tsShift = t.now(hz) - h.Timestamp
	}
	if ahead := int16(h.SequenceNumber - t.in); ahead > 0 {
		t.in, t.sent = h.SequenceNumber, t.sent<<ahead|1
	} else {
		t.sent |= 1 << -ahead
	}
	h.SequenceNumber += t.seqShift
	h.Timestamp += t.tsShift
	if int16(h.SequenceNumber-t.seq) > 0 {
		t.seq, t.stamp, t.at, t.begun = h.SequenceNumber, h.Timestamp, time.Now(), true
	}
}

// insert numbers a packet that is not the application's.
func (t *timeline) insert(h *rtp.Header) {
	t.seq++
	t.seqShift++
	h.SequenceNumber = t.seq
}

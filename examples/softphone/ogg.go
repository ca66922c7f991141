package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gosipua/sipua/session/rtc"
)

// readOpus returns the packets of an Ogg Opus file (RFC 7845), which go into
// RTP as they are (RFC 7587), with their durations.
func readOpus(file string) ([]rtc.Sample, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	packets, err := readOgg(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// Two packets come before the audio: the header and the tags.
	if len(packets) == 0 || len(packets[0]) < 19 || !bytes.HasPrefix(packets[0], []byte("OpusHead")) {
		return nil, fmt.Errorf("%s: no Opus in it", file)
	}
	if channels := packets[0][9]; packets[0][18] != 0 || channels > 2 {
		return nil, fmt.Errorf("%s: %d channels; RTP takes one or two", file, channels)
	}
	var samples []rtc.Sample
	for i, p := range packets {
		if d := opusDuration(p); i >= 2 && d > 0 {
			samples = append(samples, rtc.Sample{Data: p, Duration: d})
		}
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("%s: no audio in it", file)
	}
	return samples, nil
}

// oggHeader is the fixed part of a page (RFC 3533 §6).
type oggHeader struct {
	Capture  [4]byte
	Version  byte
	Flags    byte
	Granule  uint64
	Serial   uint32
	Sequence uint32
	Checksum uint32
	Segments byte
}

// readOgg returns the packets of the first logical stream. A packet is a row of
// segments of 255 bytes and a shorter one, and may go on in the next page.
func readOgg(r io.Reader) (packets [][]byte, err error) {
	var serial uint32
	var packet []byte
	for page := 0; ; page++ {
		var h oggHeader
		if err := binary.Read(r, binary.LittleEndian, &h); errors.Is(err, io.EOF) {
			return packets, nil
		} else if err != nil || h.Capture != [4]byte{'O', 'g', 'g', 'S'} {
			return nil, errors.New("not an Ogg file, or a damaged one")
		}
		if page == 0 {
			serial = h.Serial
		}
		table := make([]byte, h.Segments)
		if _, err := io.ReadFull(r, table); err != nil {
			return nil, err
		}
		for _, n := range table {
			segment := make([]byte, n)
			if _, err := io.ReadFull(r, segment); err != nil {
				return nil, err
			}
			if h.Serial != serial {
				continue
			}
			packet = append(packet, segment...)
			if n < 255 {
				packets, packet = append(packets, packet), nil
			}
		}
	}
}

// opusDuration is how long a packet plays, by its first byte or two (RFC 6716
// §3.1 and §3.2); zero for one that is none.
func opusDuration(packet []byte) time.Duration {
	if len(packet) == 0 {
		return 0
	}
	var frame time.Duration
	switch config := packet[0] >> 3; {
	case config < 12: // SILK
		frame = [...]time.Duration{10, 20, 40, 60}[config&3] * time.Millisecond
	case config < 16: // hybrid
		frame = [...]time.Duration{10, 20}[config&1] * time.Millisecond
	default: // CELT
		frame = 2500 * time.Microsecond << (config & 3)
	}
	count := [...]int{1, 2, 2, 0}[packet[0]&3]
	if count == 0 && len(packet) > 1 {
		count = int(packet[1] & 0x3F)
	}
	if d := frame * time.Duration(count); d <= 120*time.Millisecond {
		return d
	}
	return 0
}

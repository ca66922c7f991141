package siptest

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// sdpTraits are what a back-to-back user agent makes of the descriptions that
// pass it. Candidates, ICE credentials and fingerprints always pass: the media
// go from one end to the other.
type sdpTraits struct {
	owner   string   // username of o=
	session string   // s=
	drop    []string // attributes left out
	noMids  bool     // mid and BUNDLE left out where there is one m-line
	capital bool     // "SHA-256" and "UDP" in capitals
	roles   bool     // offers inside a call name the DTLS role in place of actpass
}

// origin is the o= line of what one leg is sent (RFC 3264 §8).
type origin struct {
	id, version uint64
	last        string // description it stood in, without the line
}

// far is what a leg was last shown of its far end, and how that is tied to it.
type far struct {
	fingerprint string
	setup       string // role of the far end: "active", "passive", "" before it is known
}

// describe makes the description that a leg is sent out of one of its far end.
// An answer is shaped by the offer of the leg that it answers; nil for an offer.
func (l *Leg) describe(body, offer []byte) []byte {
	if len(body) == 0 {
		return nil
	}
	lines := sdpLines(body)
	t := &l.server.traits.sdp
	if t.noMids && countMedia(lines) == 1 {
		lines = without(lines, "a=mid:", "a=group:", "a=msid-semantic:")
	}
	for _, name := range t.drop {
		lines = without(lines, "a="+name)
	}
	if t.capital {
		for i, line := range lines {
			lines[i] = capitals(line)
		}
	}
	if offer != nil {
		lines = likeOffer(lines, sdpLines(offer), !t.noMids)
	} else {
		lines = l.shapeOffer(lines)
	}
	l.noteShape(lines)
	return l.withOrigin(lines)
}

// noteShape remembers the m-lines of a leg's dialog, which never get fewer (RFC
// 3264 §8).
func (l *Leg) noteShape(lines []string) {
	for i, section := range sections(lines)[1:] {
		if i == len(l.shape) {
			l.shape = append(l.shape, section[0])
		}
	}
}

// shapeOffer changes what only offers have: the profile as the leg is
// configured, the role where one is taken, and a line for all media that the leg
// has had, where another far end has fewer.
func (l *Leg) shapeOffer(lines []string) []string {
	for i := countMedia(lines); i < len(l.shape); i++ {
		words := strings.Fields(l.shape[i])
		lines = append(lines, strings.Join(append([]string{words[0], "0"}, words[2:]...), " "))
	}
	profile := l.server.options.Profile
	for i, line := range lines {
		if profile != "" && strings.HasPrefix(line, "m=") {
			lines[i] = withProfile(line, profile)
		}
	}
	if !l.server.traits.sdp.roles || l.far.setup == "" || attribute(lines, "fingerprint") != l.far.fingerprint {
		return lines
	}
	for i, line := range lines {
		if line == "a=setup:actpass" {
			lines[i] = "a=setup:" + l.far.setup
		}
	}
	return lines
}

// agreed notes what an exchange came to: the far end of l is that of its
// description, and the answerer has chosen the roles.
func (l *Leg) agreed(sent []byte, role string) {
	l.far = far{fingerprint: attribute(sdpLines(sent), "fingerprint"), setup: role}
}

// withOrigin writes the lines with o= and s= of the leg's own.
func (l *Leg) withOrigin(lines []string) []byte {
	t := &l.server.traits.sdp
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "o=") || strings.HasPrefix(line, "s=") || strings.HasPrefix(line, "v=")
	})
	text := strings.Join(lines, "\r\n")
	if text != l.origin.last {
		l.origin.version++
		l.origin.last = text
	}
	if l.origin.id == 0 {
		l.server.branchSeq++
		l.origin.id = 1_700_000_000 + l.server.branchSeq
	}
	b := append(make([]byte, 0, len(text)+128), "v=0\r\no="...)
	b = append(b, t.owner...)
	b = append(b, ' ')
	b = strconv.AppendUint(b, l.origin.id, 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, l.origin.version, 10)
	b = append(b, " IN IP4 192.0.2.1\r\ns="...)
	b = append(b, t.session...)
	b = append(b, "\r\n"...)
	b = append(b, text...)
	return append(b, "\r\n"...)
}

// likeOffer gives an answer the profiles of the offer (RFC 3264 §6), and its
// mids again that another leg's description has no use for.
func likeOffer(lines, offer []string, mids bool) []string {
	offered := sections(offer)
	answered := sections(lines)
	out := slices.Clone(answered[0])
	bundled := mids && attribute(offered[0], "group") != "" && attribute(out, "group") == ""
	for i, section := range answered[1:] {
		if i+1 >= len(offered) {
			break // a line added for media that only the other leg has had
		}
		like := offered[i+1]
		section[0] = withProfile(section[0], strings.Fields(like[0])[2])
		mid := attribute(like, "mid")
		if mids && mid != "" {
			section = append(without(section, "a=mid:"), "a=mid:"+mid)
			if bundled && i == 0 {
				out = append(out, "a=group:BUNDLE "+mid)
			}
		}
		out = append(out, section...)
	}
	return out
}

// withDirection replaces the directions of a description.
func withDirection(body []byte, direction string) []byte {
	lines := sdpLines(body)
	for i, line := range lines {
		switch line {
		case "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive":
			lines[i] = "a=" + direction
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

// withoutAddress writes c=0.0.0.0, the hold of RFC 2543.
func withoutAddress(body []byte) []byte {
	lines := sdpLines(body)
	for i, line := range lines {
		if strings.HasPrefix(line, "c=") {
			lines[i] = "c=IN IP4 0.0.0.0"
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

// sdpLines are the lines of a description, without m= lines that are none.
func sdpLines(body []byte) []string {
	var lines []string
	for line := range bytes.Lines(body) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 || bytes.HasPrefix(line, []byte("m=")) && len(bytes.Fields(line)) < 4 {
			continue
		}
		lines = append(lines, string(line))
	}
	return lines
}

// sections are the session part and the m-sections.
func sections(lines []string) [][]string {
	out := [][]string{nil}
	for _, line := range lines {
		if strings.HasPrefix(line, "m=") {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], line)
	}
	return out
}

func countMedia(lines []string) int { return len(sections(lines)) - 1 }

// attribute is the first value of an attribute, "" without.
func attribute(lines []string, name string) string {
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, "a="+name+":"); ok {
			return value
		}
	}
	return ""
}

func without(lines []string, prefixes ...string) []string {
	return slices.DeleteFunc(lines, func(line string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
	})
}

// withProfile replaces the third word of an m= line.
func withProfile(line, profile string) string {
	words := strings.Split(line, " ")
	if len(words) > 2 {
		words[2] = profile
	}
	return strings.Join(words, " ")
}

// capitals writes the hash of a fingerprint and the transport of a candidate as
// Asterisk does.
func capitals(line string) string {
	if rest, ok := strings.CutPrefix(line, "a=fingerprint:"); ok {
		hash, value, _ := strings.Cut(rest, " ")
		return "a=fingerprint:" + strings.ToUpper(hash) + " " + value
	}
	if strings.HasPrefix(line, "a=candidate:") {
		return strings.Replace(line, " udp ", " UDP ", 1)
	}
	return line
}

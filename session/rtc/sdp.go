package rtc

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Bounds of a description that we read: far more than any stack sends.
const (
	maxDescription = 64 << 10
	maxMedia       = 64
	maxFormats     = 128 // there are no more payload types
	maxCandidates  = 64  // of an m-line and of an ICE session; each costs checks
)

var (
	errNotSDP   = errors.New("rtc: not a session description")
	errSDPSize  = errors.New("rtc: session description too large")
	errSDPMedia = errors.New("rtc: malformed m= line")
)

// description is a session description by its lines (RFC 8866). Unlike a full
// parser it can represent m-lines of any kind, so that one which we do not
// understand is refused in its place and not the whole call with it.
type description struct {
	lines []line
	media []*mediaSection
}

// line is one line that is not an m= line.
type line struct {
	typ   byte
	value string
}

// mediaSection is an m= line and what follows it.
type mediaSection struct {
	media   string
	port    int
	proto   string
	formats []string
	lines   []line
}

func parseDescription(body []byte) (*description, error) {
	if len(body) > maxDescription {
		return nil, errSDPSize
	}
	if !bytes.HasPrefix(body, []byte("v=0")) || bytes.IndexByte(body, 0) >= 0 {
		return nil, errNotSDP
	}
	d := &description{}
	for raw := range strings.FieldsFuncSeq(string(body), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if len(raw) < 2 || raw[1] != '=' {
			return nil, errNotSDP
		}
		l := line{raw[0], strings.TrimRight(raw[2:], " \t")}
		switch {
		case l.typ == 'm':
			m, err := parseMedia(l.value)
			if err != nil {
				return nil, err
			}
			if len(d.media) == maxMedia {
				return nil, errSDPSize
			}
			d.media = append(d.media, m)
		case len(d.media) > 0:
			m := d.media[len(d.media)-1]
			m.lines = append(m.lines, l)
		default:
			d.lines = append(d.lines, l)
		}
	}
	return d, nil
}

func parseMedia(value string) (*mediaSection, error) {
	f := strings.Fields(value)
	if len(f) < 4 {
		return nil, errSDPMedia
	}
	port, _, _ := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, errSDPMedia
	}
	return &mediaSection{media: f[0], port: int(n), proto: f[2], formats: f[3:]}, nil
}

// attr returns the value of the first attribute called name.
func attr(lines []line, name string) (string, bool) {
	for v := range attrs(lines, name) {
		return v, true
	}
	return "", false
}

// attrs yields the values of all attributes called name.
func attrs(lines []line, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, l := range lines {
			if l.typ != 'a' {
				continue
			}
			key, value, _ := strings.Cut(l.value, ":")
			if key == name && !yield(value) {
				return
			}
		}
	}
}

// inherited returns the attribute of a section, or else the session's.
func (d *description) inherited(m *mediaSection, name string) (string, bool) {
	if v, ok := attr(m.lines, name); ok {
		return v, ok
	}
	return attr(d.lines, name)
}

// direction returns the direction of a section (RFC 8866 §6.7).
func (d *description) direction(m *mediaSection) Direction {
	for _, lines := range [...][]line{m.lines, d.lines} {
		for _, l := range lines {
			if l.typ != 'a' {
				continue
			}
			if dir, ok := parseDirection(l.value); ok {
				return dir
			}
		}
	}
	return SendRecv
}

// unspecified reports whether the c= line that holds for m is an any-address.
func (d *description) unspecified(m *mediaSection) bool {
	for _, lines := range [...][]line{m.lines, d.lines} {
		for _, l := range lines {
			if l.typ == 'c' {
				f := strings.Fields(l.value)
				return len(f) >= 3 && (f[2] == "0.0.0.0" || f[2] == "::")
			}
		}
	}
	return false
}

// bundle returns the mids of the BUNDLE group that holds mid (RFC 8843).
func (d *description) bundle(mid string) []string {
	for g := range attrs(d.lines, "group") {
		f := strings.Fields(g)
		if len(f) == 0 || f[0] != "BUNDLE" {
			continue
		}
		for _, m := range f[1:] {
			if m == mid {
				return f[1:]
			}
		}
	}
	return nil
}

// writer puts a description together.
type writer struct{ strings.Builder }

func (w *writer) line(parts ...string) {
	for _, p := range parts {
		w.WriteString(p)
	}
	w.WriteString("\r\n")
}

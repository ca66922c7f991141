package sipua

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"time"
)

const redacted = "[redacted]"

// String returns the parameters that are set, by their JSON keys, without
// secrets.
func (c Config) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, a := range c.attrs() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.Key + ":" + a.Value.String())
	}
	b.WriteByte('}')
	return b.String()
}

// GoString is String with the name of the type.
func (c Config) GoString() string { return "sipua.Config" + c.String() }

// Format writes String, or GoString for %#v, whatever the verb is, for none of
// fmt's own ways to print a struct leaves secrets out.
func (c Config) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		io.WriteString(f, c.GoString())
		return
	}
	io.WriteString(f, c.String())
}

// LogValue is a group of the parameters that are set, without secrets. It
// implements [slog.LogValuer].
func (c Config) LogValue() slog.Value { return slog.GroupValue(c.attrs()...) }

// attrs are the fields that are set, in their order; secrets and what has no
// text form are shown as being set.
func (c *Config) attrs() []slog.Attr {
	var attrs []slog.Attr
	for key, p := range c.params() {
		if !p.value.IsZero() {
			attrs = append(attrs, slog.String(key, p.text()))
		}
	}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Tag.Get("json") == "-" && !v.Field(i).IsZero() {
			attrs = append(attrs, slog.String(f.Name, "set"))
		}
	}
	return attrs
}

func (p param) text() string {
	if p.secret() {
		return redacted
	}
	switch v := p.value.Interface().(type) {
	case *bool:
		return fmt.Sprint(*v)
	case time.Duration:
		return v.String()
	case string:
		return fmt.Sprintf("%q", redactURI(v))
	case []WSServer:
		return textList(v, func(s WSServer) string { return fmt.Sprintf("%s weight=%d", s, s.Weight) })
	case []TURNServer:
		return textList(v, func(s TURNServer) string {
			return textList(s.URLs, redactURI) + fmt.Sprintf(" username=%q credential=%s", s.Username, redacted)
		})
	case []string:
		return textList(v, redactURI)
	default:
		return fmt.Sprintf("%q", v)
	}
}

func textList[T any](list []T, text func(T) string) string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = text(v)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// redactURI is s without the password of its user and, for a WebSocket URL,
// without its query, where tokens live. It reads no grammar, because s may be
// what a parser refused.
func redactURI(s string) string {
	start := 0
	if i := strings.Index(s, "://"); i >= 0 {
		start = i + len("://")
	} else if i := strings.IndexByte(s, ':'); i >= 0 && strings.Contains(" sip sips stun stuns turn turns ", " "+strings.ToLower(s[:i])+" ") {
		start = i + 1
	}
	if at := strings.LastIndexByte(s, '@'); at > start {
		if colon := strings.IndexByte(s[start:at], ':'); colon >= 0 {
			s = s[:start+colon+1] + redacted + s[at:]
		}
	}
	if i := strings.IndexByte(s, '?'); i >= 0 && strings.Contains(s, "://") {
		s = s[:i+1] + redacted
	}
	return s
}

package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gosipua/sipua/sip"
)

const sdpType = "application/sdp"

// descriptionOf returns the session description that a message carries.
func descriptionOf(m interface {
	ContentType() string
	Body() []byte
}) (Description, bool) {
	if body := m.Body(); len(body) > 0 && m.ContentType() == sdpType {
		return Description{ContentType: sdpType, Body: body}, true
	}
	return Description{}, false
}

// optionalBody reports whether the sender lets us ignore its body
// (RFC 3261 §20.11).
func optionalBody(req *sip.Request) bool {
	return strings.Contains(strings.ToLower(req.Header("Content-Disposition")), "handling=optional")
}

// warning explains a 488 (RFC 3261 §20.43), in the Media's own words where it
// has any.
func warning(why error) []sip.Field {
	if why == nil {
		return nil
	}
	code, text := 399, why.Error()
	var own interface {
		Warning() (code int, text string)
	}
	switch {
	case errors.As(why, &own):
		code, text = own.Warning()
	case errors.Is(why, ErrUnacceptable):
		code = 304
	}
	return []sip.Field{{Name: "Warning", Value: fmt.Sprintf("%d sipua %s", code, quoted(text))}}
}

// quoted is text as a quoted-string of plain characters.
func quoted(text string) string {
	return `"` + strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r == 0x7f:
			return ' '
		}
		return r
	}, text) + `"`
}

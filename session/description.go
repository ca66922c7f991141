package session

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// errNoDescription: a Media made no description, or one that cannot be sent.
var errNoDescription = errors.New("session: media made no description that can be sent")

// check reports whether d can go into a message.
func (d Description) check() error {
	if len(d.Body) == 0 {
		return errNoDescription
	}
	if err := d.into(&sip.Response{}); err != nil {
		return fmt.Errorf("%w: %w", errNoDescription, err)
	}
	return nil
}

// into makes d the body of a message; without one it does nothing.
func (d Description) into(m interface{ SetBody(string, []byte) error }) error {
	if len(d.Body) == 0 {
		return nil
	}
	return m.SetBody(d.ContentType, d.Body)
}

// refusal returns the answer to an offer that takes nothing of it: each m-line
// with port 0 (RFC 3264 §6). It is what a Media need not be asked for.
func (d Description) refusal() Description {
	if len(d.Body) == 0 {
		return Description{}
	}
	var b bytes.Buffer
	b.WriteString("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n")
	for line := range strings.Lines(string(d.Body)) {
		line = strings.TrimRight(line, "\r\n")
		media, rest, _ := strings.Cut(line, " ")
		_, formats, ok := strings.Cut(rest, " ")
		switch {
		case strings.HasPrefix(line, "t="):
			b.WriteString(line + "\r\n")
		case strings.HasPrefix(line, "m=") && ok:
			b.WriteString(media + " 0 " + formats + "\r\n")
		}
	}
	return Description{ContentType: d.ContentType, Body: b.Bytes()}
}

// refusalOf returns the final response to an offer that a Media could not
// answer: 487 where it was taken back, 488 where the offer is to blame, 480 where
// the user is, else 500. Other errors say more of our inside than concerns the
// far end.
func refusalOf(err error) (sip.StatusCode, []sip.Field) {
	switch {
	case errors.Is(err, errWithdrawn):
		return sip.StatusRequestTerminated, nil
	case errors.Is(err, ErrMediaDenied):
		return sip.StatusTemporarilyUnavailable, nil
	case !errors.Is(err, ErrUnacceptable):
		return sip.StatusServerInternalError, nil
	}
	w := sip.Warning{Code: 399, Agent: "sipua", Text: "session description not acceptable"}
	var why interface {
		Warning() (code int, text string)
	}
	if errors.As(err, &why) {
		w.Code, w.Text = why.Warning()
	}
	return sip.StatusNotAcceptableHere, []sip.Field{{Name: "Warning", Value: w.String()}}
}

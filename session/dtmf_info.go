package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// The bodies that carry a digit in an INFO request. Neither was ever
// standardised; what is said here of senders is how Asterisk, Cisco's gateways
// and JsSIP do it.
const (
	dtmfRelay = "application/dtmf-relay" // Signal=5, Duration=160
	dtmfPlain = "application/dtmf"       // 5

	dtmfTypes = dtmfRelay + ", " + dtmfPlain
)

// hookFlash is what calls the switchboard: event 16 (RFC 2833 §3.10), R to JsSIP.
const hookFlash = 'R'

// eventDigits are the digits by their event codes (RFC 4733 §3.2).
const eventDigits = "0123456789*#ABCDR"

func (s *Session) sendInfoDigit(ctx context.Context, digit rune, o *DTMFOptions) error {
	kind, body := dtmfRelay, fmt.Sprintf("Signal=%c\r\nDuration=%d\r\n", digit, o.Duration.Milliseconds())
	if o.Transport == DTMFInfoPlain {
		kind, body = dtmfPlain, string(digit)
		if digit == hookFlash { // which has no sign in it
			body = "16"
		}
	}
	req := sip.NewRequest(sip.INFO, sip.URI{})
	err := req.SetBody(kind, []byte(body))
	for _, f := range o.Headers {
		err = errors.Join(err, req.AddHeader(f.Name, f.Value))
	}
	if err != nil {
		return err
	}
	_, err = s.Do(ctx, req)
	return err
}

// isDigit reports whether an INFO request carries a digit.
func isDigit(req *sip.Request) bool {
	kind := req.ContentType()
	return (kind == dtmfRelay || kind == dtmfPlain) && len(req.Body()) > 0
}

func (s *Session) receiveDigit(in *core.Incoming) { // [locked]
	req := in.Request()
	parse := parseRelay
	if req.ContentType() == dtmfPlain {
		parse = parsePlain
	}
	d, ok := parse(string(req.Body()))
	switch {
	case !ok:
		in.Reply(sip.StatusBadRequest, "Signal missing or malformed")
	case !s.tellDTMF(d):
		retryLater(in)
	default:
		in.Reply(sip.StatusOK, "")
	}
}

// parseRelay reads an application/dtmf-relay body. Its lines may come in any
// order and end; a missing duration is 100 ms, and none is longer than 6 s.
func parseRelay(body string) (DTMF, bool) {
	d := DTMF{Duration: DefaultDTMFDuration, INFO: true}
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "signal":
			d.Digit = digitOf(value)
		case "duration":
			if ms, err := strconv.Atoi(value); err == nil && ms > 0 {
				d.Duration = min(time.Duration(min(ms, math.MaxInt32))*time.Millisecond, MaxDTMFDuration)
			}
		}
	}
	return d, d.Digit != 0
}

// parsePlain reads an application/dtmf body: the digit, or all that
// application/dtmf-relay has.
func parsePlain(body string) (DTMF, bool) {
	if strings.Contains(body, "=") {
		return parseRelay(body)
	}
	d := DTMF{Digit: digitOf(strings.TrimSpace(body)), Duration: DefaultDTMFDuration, INFO: true}
	return d, d.Digit != 0
}

// digitOf reads a digit by its sign or by the number of its event, 0 if it is
// none. Several digits never come in one request: 12 is event 12, an A.
func digitOf(s string) rune {
	s = strings.ToUpper(s)
	if len(s) == 1 {
		if s == "!" {
			return hookFlash
		}
		if i := strings.Index(eventDigits, s); i >= 0 {
			return rune(eventDigits[i])
		}
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 8); err == nil && n < uint64(len(eventDigits)) {
		return rune(eventDigits[n])
	}
	return 0
}

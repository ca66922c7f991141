package session

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// ReferProgress is what a NOTIFY tells about a transfer (RFC 3515 §2.4.5).
type ReferProgress struct {
	Code   sip.StatusCode // what the far end heard from the transfer target
	Reason string
	Final  bool // the last word: the subscription is over
}

// Refer asks the far end to call target in our place (RFC 3515): a blind
// transfer. It returns when the far end has agreed to try; Handler.Refer tells
// how that goes on. The call itself goes on until somebody hangs up.
func (s *Session) Refer(ctx context.Context, target string) error {
	uri, err := sip.NormalizeTarget(target, s.m.o.Domain, s.m.o.KeepTel)
	if err != nil {
		return err
	}
	req := sip.NewRequest(sip.REFER, sip.URI{})
	err = errors.Join(
		req.SetHeader("Refer-To", sip.NameAddr{URI: uri}.String()),
		req.SetHeader("Referred-By", sip.NameAddr{URI: s.LocalIdentity().URI}.String()), // RFC 3892 §2.1
	)
	if err != nil {
		return err
	}
	if s.State() != Confirmed {
		s.m.core.Lock()
		defer s.m.core.Unlock()
		return s.cause()
	}
	_, err = s.Do(ctx, req)
	return err
}

// receiveNotify takes the news of a transfer.
func (s *Session) receiveNotify(in *core.Incoming) { // [locked]
	req := in.Request()
	pkg, _, _ := strings.Cut(req.Header("Event"), ";")
	if !strings.EqualFold(strings.TrimSpace(pkg), "refer") {
		in.Reply(sip.StatusBadEvent, "", sip.Field{Name: "Allow-Events", Value: "refer"})
		return
	}
	p, ok := parseSipfrag(string(req.Body()))
	if !ok || req.ContentType() != "message/sipfrag" {
		in.Reply(sip.StatusBadRequest, "sipfrag missing or malformed")
		return
	}
	state, _, _ := strings.Cut(req.Header("Subscription-State"), ";")
	p.Final = strings.EqualFold(strings.TrimSpace(state), "terminated") || p.Code.IsFinal()
	in.Reply(sip.StatusOK, "")
	s.emitRefer(p)
}

// parseSipfrag reads the status line that a message/sipfrag body starts with
// (RFC 3420, RFC 3515 §2.4.5).
func parseSipfrag(body string) (ReferProgress, bool) {
	line, _, _ := strings.Cut(body, "\n")
	rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r"), "SIP/2.0 ")
	if !ok {
		return ReferProgress{}, false
	}
	digits, reason, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(digits)
	if err != nil || code < 100 || code > 699 {
		return ReferProgress{}, false
	}
	return ReferProgress{Code: sip.StatusCode(code), Reason: reason}, true
}

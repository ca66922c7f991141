package session

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

const sipfragType = "message/sipfrag"

// ReferProgress is what a NOTIFY tells about a transfer (RFC 3515 §2.4.5).
type ReferProgress struct {
	Code   sip.StatusCode // what the far end heard from the transfer target; 0: it says no more
	Reason string
	Final  bool // the last word on this transfer
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
	return s.transfer(ctx, req)
}

// transfer is the subscription that a REFER of ours makes (RFC 3515 §2.4.4).
type transfer struct {
	seq   uint32 // CSeq of the REFER
	taken bool   // its 2xx is here
	told  bool   // the application knows how it ended
}

func (s *Session) transfer(ctx context.Context, req *sip.Request) error {
	c := s.m.core
	c.Lock()
	if s.usage.state != Confirmed {
		defer c.Unlock()
		return s.cause()
	}
	c.Unlock()
	t := &transfer{}
	res, err := s.do(ctx, req, func(out *sip.Request) {
		if t.seq == 0 {
			s.transfers = append(s.transfers, t) // a NOTIFY may overtake the 2xx
		}
		t.seq = out.CSeq().Seq
	})
	c.Lock()
	defer c.Unlock()
	if err != nil {
		if ctx.Err() == nil { // else the far end may still agree
			s.forget(t)
		}
		return err
	}
	t.seq, t.taken = res.CSeq().Seq, true // another one after a challenge
	return nil
}

func (s *Session) forget(t *transfer) { // [locked]
	s.transfers = slices.DeleteFunc(s.transfers, func(o *transfer) bool { return o == t })
}

// transferOf returns the transfer that an Event field is about, nil for none.
// The id is the CSeq number of the REFER and may be left out for the first
// (RFC 3515 §2.4.6).
func (s *Session) transferOf(e sip.Event) *transfer { // [locked]
	id := e.ID()
	for _, t := range s.transfers {
		if id == strconv.FormatUint(uint64(t.seq), 10) {
			return t
		}
	}
	for _, t := range s.transfers {
		if id == "" || !t.taken { // a challenge changes the number
			return t
		}
	}
	return nil
}

// receiveNotify takes the news of a transfer.
func (s *Session) receiveNotify(in *core.Incoming) { // [locked]
	req := in.Request()
	event, _ := req.Event()
	if event.Package != "refer" {
		in.Reply(sip.StatusBadEvent, "", sip.Field{Name: "Allow-Events", Value: "refer"})
		return
	}
	t := s.transferOf(event)
	if t == nil { // RFC 6665 §4.1.3
		in.Reply(sip.StatusCallDoesNotExist, "")
		return
	}
	state, _ := req.SubscriptionState()
	ended := state.State == "terminated"
	var p ReferProgress
	if body := req.Body(); len(body) > 0 || !ended {
		if req.ContentType() != sipfragType {
			in.Reply(sip.StatusUnsupportedMediaType, "", sip.Field{Name: "Accept", Value: sipfragType})
			return
		}
		var ok bool
		if p, ok = parseSipfrag(string(body)); !ok {
			in.Reply(sip.StatusBadRequest, "sipfrag malformed")
			return
		}
	}
	p.Final = ended || p.Code.IsFinal()
	if !t.told && !s.tellTransfer(p) {
		retryLater(in)
		return
	}
	in.Reply(sip.StatusOK, "")
	t.told = t.told || p.Final
	if ended {
		s.forget(t)
	}
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

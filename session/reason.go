package session

import (
	"errors"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// q850 is the Reason protocol of the telephone network; its causes are those of
// ITU-T Q.850.
const q850 = "Q.850"

// Reasons are the values in Reason that can be read (RFC 3326 §2).
func (e *EndError) Reasons() []sip.Reason {
	var list []sip.Reason
	for _, value := range e.Reason {
		list = append(list, sip.ParseReasons(value)...)
	}
	return list
}

// CompletedElsewhere reports whether an incoming call was given up because
// somebody answered it somewhere else, so that it is no missed call: its
// CANCEL says SIP;cause=200 (RFC 3326 §3.1), or Q.850;cause=26, "non-selected
// user clearing", where a gateway speaks.
func (e *EndError) CompletedElsewhere() bool {
	return e.elsewhere(func(code sip.StatusCode) bool { return code.IsSuccess() }, 26)
}

// DeclinedElsewhere reports whether an incoming call was given up because
// somebody refused it everywhere from somewhere else: its CANCEL says
// SIP;cause=600 or another 6xx (RFC 3326 §2), or Q.850;cause=21, "call
// rejected".
func (e *EndError) DeclinedElsewhere() bool {
	return e.elsewhere(func(code sip.StatusCode) bool { return code/100 == 6 }, 21)
}

// elsewhere reports whether the far end gave the call up for such a reason.
func (e *EndError) elsewhere(status func(sip.StatusCode) bool, cause int) bool {
	if e.Kind != EndCanceled || !e.Remote {
		return false
	}
	for _, r := range e.Reasons() {
		switch {
		case strings.EqualFold(r.Protocol, "SIP") && status(sip.StatusCode(r.Cause)),
			strings.EqualFold(r.Protocol, q850) && r.Cause == cause:
			return true
		}
	}
	return false
}

// reasonOf is what a BYE says of the end of a call that failed; zero for a
// plain hang-up.
func reasonOf(end *EndError) sip.Reason {
	code, text := sip.StatusCode(0), ""
	switch {
	case end == nil:
	case errors.Is(end.Err, errNoAnswerSDP):
		code, text = sip.StatusBadRequest, "Missing SDP"
	case errors.Is(end.Err, errMediaPath):
		code, text = sip.StatusRequestTimeout, "RTP Timeout"
	case errors.Is(end.Err, ErrUnacceptable): // RFC 3326 §3.2
		code = sip.StatusNotAcceptableHere
	case end.Kind == EndNoACK:
		code, text = sip.StatusRequestTimeout, "ACK missing"
	case end.Kind == EndUnrefreshed:
		code, text = sip.StatusRequestTimeout, "Session timer expired"
	case end.Kind == EndMediaFailed, errors.Is(end.Err, errPanic):
		code = sip.StatusServerInternalError
	}
	if code == 0 {
		return sip.Reason{}
	}
	if text == "" {
		text = code.Reason()
	}
	return sip.Reason{Protocol: "SIP", Cause: int(code), Text: text}
}

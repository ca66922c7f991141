package session

import (
	"errors"

	"github.com/gosipua/sipua/sip"
)

// Cause returns the name that JsSIP has for this end, such as "Busy",
// "Canceled" or "Terminated".
func (e *EndError) Cause() string {
	switch {
	case errors.Is(e.Err, errPanic), errors.Is(e.Err, errMediaPanic), errors.Is(e.Err, errNoDialog):
		return "Internal Error"
	}
	switch e.Kind {
	case EndBye:
		return "Terminated"
	case EndCanceled:
		return "Canceled"
	case EndNoAnswer:
		return "No Answer"
	case EndExpired:
		return "Expires"
	case EndNoACK:
		return "No ACK"
	case EndTimeout, EndUnrefreshed:
		return "Request Timeout"
	case EndMediaFailed:
		return e.mediaCause()
	case EndDialogError:
		return "Dialog Error"
	case EndTransportLost, EndClosed:
		return "Connection Error"
	case EndInternal:
		return "Internal Error"
	}
	if !e.Remote {
		return "Rejected"
	}
	code := e.Status
	if code == 0 {
		code = sip.StatusOf(e.Err)
	}
	return statusCause(code)
}

func (e *EndError) mediaCause() string {
	switch {
	case errors.Is(e.Err, errNoAnswerSDP):
		return "Missing SDP"
	case errors.Is(e.Err, ErrUnacceptable):
		return "Bad Media Description"
	case errors.Is(e.Err, errMediaPath):
		return "RTP Timeout"
	case errors.Is(e.Err, ErrMediaDenied):
		return "User Denied Media Access"
	}
	return "WebRTC Error"
}

// statusCause is the cause of a call that was refused with code. One that is
// not known stands for the x00 of its class (RFC 3261 §8.1.3.2).
func statusCause(code sip.StatusCode) string {
	if code.Reason() == "" {
		code -= code % 100
	}
	switch code {
	case sip.StatusBusyHere, sip.StatusBusyEverywhere:
		return "Busy"
	case sip.StatusForbidden, sip.StatusDecline, sip.StatusUnwanted, sip.StatusRejected:
		return "Rejected"
	case sip.StatusMultipleChoices, sip.StatusMovedPermanently, sip.StatusMovedTemporarily, sip.StatusUseProxy, sip.StatusAlternativeService:
		return "Redirected"
	case sip.StatusNotFound, sip.StatusDoesNotExistAnywhere:
		return "Not Found"
	case sip.StatusTemporarilyUnavailable, sip.StatusGone, sip.StatusRequestTimeout, sip.StatusFlowFailed:
		return "Unavailable"
	case sip.StatusAddressIncomplete, sip.StatusBadLocationInformation:
		return "Address Incomplete"
	case sip.StatusNotAcceptableHere, sip.StatusNotAcceptableAnywhere:
		return "Incompatible SDP"
	case sip.StatusUnauthorized, sip.StatusProxyAuthenticationRequired:
		return "Authentication Error"
	}
	return "SIP Failure Code"
}

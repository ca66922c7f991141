package sip

import (
	"errors"
	"strconv"
)

// fault is what a parser found wrong, and where; the zero fault is none.
type fault struct {
	at     int
	reason string
}

func (f fault) ok() bool { return f.reason == "" }

func (f fault) err(field, value string) *ParseError {
	return &ParseError{Field: field, Offset: f.at, Value: shorten(value), Reason: f.reason}
}

const shortValue = 64 // bytes of a value repeated in an error

func shorten(s string) string {
	if len(s) > shortValue {
		return s[:shortValue] + "…"
	}
	return s
}

// ParseError says what could not be read and why. It never holds credentials: the value of an authorization
// field is left out.
type ParseError struct {
	Field  string // header field, "start-line", or the kind of value for ParseURI and its like
	Offset int    // bytes from the start of what was parsed
	Value  string // shortened
	Reason string

	// Partial is the request as far as it could be read, when it can be answered with a 400 at all: Via, From,
	// To, Call-ID and CSeq are there, though maybe malformed. It is nil otherwise, and for a response.
	Partial *Request
}

func (e *ParseError) Error() string {
	s := "sip: " + e.Field + ": " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
	if e.Value != "" {
		s += " in " + strconv.Quote(e.Value)
	}
	return s
}

// A FieldError says why a setter refused a header field.
type FieldError struct {
	Field  string // its name
	Reason string
}

func (e *FieldError) Error() string {
	return "sip: " + strconv.Quote(shorten(e.Field)) + ": " + e.Reason
}

// ResponseError is a final response other than 2xx as an error. errors.Is with a [StatusCode] matches it.
type ResponseError struct {
	Method   Method // of the request
	Response *Response
}

func (e *ResponseError) Error() string {
	s := "sip: "
	if e.Method != "" {
		s += string(e.Method) + ": "
	}
	if e.Response == nil {
		return s + "no response"
	}
	s += strconv.Itoa(int(e.StatusCode()))
	if r := e.Response.Reason(); r != "" {
		s += " " + r
	}
	return s
}

// Is says whether target is this response's [StatusCode].
func (e *ResponseError) Is(target error) bool {
	c, ok := target.(StatusCode)
	return ok && c == e.StatusCode()
}

// StatusCode is the response's status, 0 without a response.
func (e *ResponseError) StatusCode() StatusCode {
	if e.Response == nil {
		return 0
	}
	return e.Response.StatusCode()
}

// Temporary says whether the same request may do better later: 491, 503, or any response with Retry-After.
func (e *ResponseError) Temporary() bool {
	switch e.StatusCode() {
	case 0:
		return false
	case StatusRequestPending, StatusServiceUnavailable:
		return true
	}
	return e.Response.HasHeader("Retry-After")
}

// TimeoutError says that a transaction timer ran out before an answer came. RFC 3261 §8.1.3.1 has it treated as a
// 408, so errors.Is with [StatusRequestTimeout] matches it and [StatusOf] says 408.
type TimeoutError struct {
	Timer  string // "B", "F", "H", …
	Method Method
}

func (e *TimeoutError) Error() string {
	return "sip: " + string(e.Method) + ": no answer in time (timer " + e.Timer + ")"
}

// Timeout is true; it makes the error a net.Error-like timeout.
func (e *TimeoutError) Timeout() bool { return true }

// Is says whether target is [StatusRequestTimeout].
func (e *TimeoutError) Is(target error) bool { return target == error(StatusRequestTimeout) }

// StatusOf is the status behind err: that of a [ResponseError] or a [StatusCode] in its tree, 408 for a
// [TimeoutError], else 0.
func StatusOf(err error) StatusCode {
	var response *ResponseError
	var timeout *TimeoutError
	var code StatusCode
	switch {
	case errors.As(err, &response):
		return response.StatusCode()
	case errors.As(err, &timeout):
		return StatusRequestTimeout
	case errors.As(err, &code):
		return code
	}
	return 0
}

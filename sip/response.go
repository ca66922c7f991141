package sip

// Response is a SIP response (RFC 3261 §7.2).
type Response struct {
	message

	code   StatusCode
	reason string
}

// NewResponse makes the response to req: Via, From, To, Call-ID and CSeq are copied (RFC 3261 §8.2.6.2), the
// Timestamp too for a 100 (§8.2.6.1), and Record-Route for a 101 to 299 of a request that opens a dialog (§12.1.1). The To tag is
// for the caller to add, see [Response.SetToTag]. An empty reason is the registered one; CR and LF in it
// become spaces.
func NewResponse(req *Request, code StatusCode, reason string) *Response {
	r := &Response{code: code, reason: reason}
	if reason == "" {
		r.reason = code.Reason()
	}
	dialog := code > 100 && code < 300 && opensDialog(req.method)
	wanted := func(id headerID) bool {
		switch id {
		case hVia, hFrom, hTo, hCallID, hCSeq:
			return true
		case hRecordRoute:
			return dialog
		case hTimestamp:
			return code == StatusTrying
		}
		return false
	}
	n := 0
	for i := range req.fields {
		if wanted(req.fields[i].id) {
			n++
		}
	}
	r.fields = make([]field, 0, n+6)
	for i := range req.fields {
		if wanted(req.fields[i].id) {
			r.fields = append(r.fields, req.fields[i])
		}
	}
	return r
}

func opensDialog(m Method) bool {
	switch m {
	case INVITE, SUBSCRIBE, REFER, NOTIFY:
		return true
	}
	return false
}

// SetToTag adds a tag to the To field unless it has one. It works on a To that cannot be read too, as that of a
// [ParseError]'s Partial request, so that a 400 can always carry one.
func (r *Response) SetToTag(tag string) {
	i := r.next(0, hTo, "")
	if i < 0 || r.To().Tag() != "" || tag == "" {
		return
	}
	r.fields[i].text += ";tag=" + string(appendName(nil, tag))
}

// StatusCode is the response's status.
func (r *Response) StatusCode() StatusCode { return r.code }

// Reason is the reason phrase as it came or was set.
func (r *Response) Reason() string { return r.reason }

// SetStatus changes status line; an empty reason is the registered one. A code outside 100 to 699 and a reason
// with a control character are refused.
func (r *Response) SetStatus(code StatusCode, reason string) error {
	if code < 100 || code > 699 {
		return &FieldError{"status", "not a status code"}
	}
	if !isSafe(reason) {
		return &FieldError{"reason", "control character"}
	}
	if reason == "" {
		reason = code.Reason()
	}
	r.code, r.reason = code, reason
	return nil
}

// Version is the SIP version: "SIP/2.0".
func (r *Response) Version() string { return r.versionText() }

// Clone is an independent copy; the texts and the body, which nobody changes, are shared.
func (r *Response) Clone() *Response {
	c := *r
	c.message = r.clone()
	return &c
}

func (*Response) isMessage() {}

// GoString is String: the %#v verb must not show credentials either.
func (r *Response) GoString() string { return r.String() }

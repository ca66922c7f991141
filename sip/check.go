package sip

import "time"

// Problem is what is wrong with a request that Parse could represent, and the answer it deserves.
type Problem struct {
	Code   StatusCode
	Field  string // header field, "Request-URI" or "start-line"
	Reason string // for the reason phrase or a Warning
}

// Error is code, field and reason.
func (p *Problem) Error() string { return "sip: " + p.Code.Error() + ": " + p.Field + ": " + p.Reason }

// Check says what is wrong with the request by itself, nil for nothing: the checks of RFC 3261 §8.2 that
// need no knowledge of dialogs, of what the application can do, or of who asks. Its order is that of the
// answers' weight: version, then syntax, then scheme.
//
//	505  another SIP version
//	400  CSeq with another method; single fields twice; a field that cannot be read; Contact, RAck, Refer-To or
//	     Subscription-State missing where the method needs it; a body without Content-Type
//	416  a Request-URI of a scheme other than sip and tel
//	489  Event missing where the method needs it
//
// Max-Forwards 0 is no problem of a user agent: it still is the request's destination (RFC 4475 §3.1.1.8).
// An ACK is checked too, though none is ever answered.
func (r *Request) Check() *Problem {
	if r.version != "" && !equalFold(r.version, sipVersion) {
		return &Problem{StatusVersionNotSupported, "start-line", "only SIP/2.0 is supported"}
	}
	if r.CSeq().Method != r.method {
		return bad(hCSeq, "another method than the request's")
	}
	for _, check := range [...]func(*Request) *Problem{
		(*Request).checkSingle, (*Request).checkFields, (*Request).checkContact, (*Request).checkMethod,
	} {
		if p := check(r); p != nil {
			return p
		}
	}
	switch uri := r.URI(); {
	case uri.Headers != "":
		return &Problem{StatusBadRequest, "Request-URI", "headers are not allowed here"} // RFC 3261 §19.1.1
	case uri.Scheme != "sip" && uri.Scheme != "tel":
		return &Problem{StatusUnsupportedURIScheme, "Request-URI", "scheme " + shorten(uri.Scheme) + " is not supported"}
	}
	return nil
}

func bad(id headerID, reason string) *Problem {
	return &Problem{StatusBadRequest, headerNames[id], reason}
}

// checkSingle finds fields that may be there once and are there more often.
func (r *Request) checkSingle() *Problem {
	var seen [headerCount]bool
	for i := range r.fields {
		id := r.fields[i].id
		switch id {
		case hFrom, hTo, hCallID, hCSeq, hMaxForwards, hContentLength, hContentType, hExpires, hEvent, hRAck, hReferTo,
			hReferredBy, hReplaces, hJoin, hTargetDialog, hSessionExpires, hMinSE, hSubscriptionState, hSIPIfMatch:
			if seen[id] {
				return bad(id, "more than once")
			}
			seen[id] = true
		}
	}
	return nil
}

// checkFields finds fields that cannot be read, of those that decide what happens to the request. Others, such
// as Date, are ignored when they cannot be read.
func (r *Request) checkFields() *Problem {
	for i := range r.fields {
		f := &r.fields[i]
		ok := true
		switch f.id {
		case hVia, hRoute, hRecordRoute, hContact:
			ok = r.readable(f)
		case hMaxForwards:
			_, ok = r.MaxForwards()
		case hSessionExpires:
			_, ok = r.SessionExpires()
		case hMinSE:
			_, ok = r.MinSE()
		case hRAck:
			_, ok = r.RAck()
		case hReferTo:
			_, ok = r.ReferTo()
		case hReplaces:
			_, ok = r.Replaces()
		case hJoin:
			_, ok = r.Join()
		case hEvent:
			_, ok = r.Event()
		case hSubscriptionState:
			_, ok = r.SubscriptionState()
		case hContentType:
			ok = isMediaType(r.ContentType())
		}
		if !ok {
			return bad(f.id, "cannot be read")
		}
	}
	if len(r.body) > 0 && !r.has(hContentType) {
		return bad(hContentType, "missing") // RFC 3261 §20.15
	}
	return nil
}

// readable reads every element of one field that is a list.
func (r *Request) readable(f *field) bool {
	if f.id == hContact && f.value() == "*" {
		return true
	}
	rest, item, more := f.value(), "", true
	for more {
		item, rest, more = nextItem(rest)
		var v Via
		var n NameAddr
		if f.id == hVia && !v.parse(item).ok() || f.id != hVia && !n.parse(item).ok() {
			return false
		}
	}
	return true
}

func isMediaType(s string) bool {
	for i := range len(s) {
		if s[i] == '/' {
			return isToken(s[:i]) && isToken(s[i+1:])
		}
	}
	return false
}

// checkContact applies RFC 3261 §8.1.1.8 and §10.2.2.
func (r *Request) checkContact() *Problem {
	stars, addresses := 0, 0
	for item := range r.items(hContact, "") {
		if item == "*" {
			stars++
		} else {
			addresses++
		}
	}
	if stars > 0 {
		seconds, ok := r.Expires()
		if r.method != REGISTER || stars+addresses > 1 || !ok || seconds != 0 {
			return bad(hContact, "* needs a REGISTER, Expires 0 and no other Contact")
		}
	}
	switch r.method {
	case INVITE, SUBSCRIBE, REFER:
		if addresses != 1 {
			return bad(hContact, "exactly one is needed")
		}
	}
	return nil
}

// checkMethod finds what is missing or misplaced for the method.
func (r *Request) checkMethod() *Problem {
	if r.method != INVITE {
		for _, id := range [...]headerID{hReplaces, hJoin} {
			if r.has(id) {
				return bad(id, "only an INVITE may have it") // RFC 3891 §3, RFC 3911 §4
			}
		}
	} else if r.has(hReplaces) && r.has(hJoin) {
		return bad(hReplaces, "not together with Join")
	}
	switch r.method {
	case PRACK:
		return r.needs(hRAck, StatusBadRequest)
	case REFER:
		return r.needs(hReferTo, StatusBadRequest)
	case SUBSCRIBE, PUBLISH:
		return r.needs(hEvent, StatusBadEvent)
	case NOTIFY:
		if p := r.needs(hEvent, StatusBadEvent); p != nil {
			return p
		}
		return r.needs(hSubscriptionState, StatusBadRequest)
	}
	return nil
}

func (r *Request) needs(id headerID, code StatusCode) *Problem {
	if r.has(id) {
		return nil
	}
	return &Problem{code, headerNames[id], "missing"}
}

// Date is the Date field (RFC 3261 §20.17); ok is false when there is none that can be read. The only zone is
// GMT.
func (m *message) Date() (t time.Time, ok bool) {
	value, _ := m.value(hDate)
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", value)
	return t, err == nil
}

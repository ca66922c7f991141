package core

import (
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// retryAfter is what senders beyond our limits are told to wait, in seconds.
const retryAfter = "5"

// full reports whether there are too many unanswered requests.
func (c *Core) full() bool { return c.layer.Pending() >= c.o.MaxTransactions }

// refuseFull answers a request that is one too many. A user agent never sends a
// 503.
func (c *Core) refuseFull(k *link, req *sip.Request) {
	c.stats.Refused++
	code := sip.StatusServerInternalError
	if req.Method() == sip.INVITE {
		code = sip.StatusTemporarilyUnavailable
	}
	c.refuse(k, req, code, "", sip.Field{Name: "Retry-After", Value: retryAfter})
}

// permits checks Require and, inside dialogs, the method; it answers what it does
// not let pass.
//
// RFC 3261 §8.2.1, §8.2.2.3.
func (c *Core) permits(k *link, req *sip.Request) bool {
	method := req.Method()
	if req.To().Tag() != "" && method != sip.BYE && !slices.Contains(c.o.Allow, method) {
		c.refuse(k, req, unsupportedMethod(method), "")
		return false
	}
	if !req.HasHeader("Require") {
		return true
	}
	var unknown []string
	for _, tag := range req.List("Require") {
		if !slices.ContainsFunc(c.o.Supported, func(s string) bool { return strings.EqualFold(s, tag) }) {
			unknown = append(unknown, tag)
		}
	}
	if len(unknown) > 0 {
		c.refuse(k, req, sip.StatusBadExtension, "", sip.Field{Name: "Unsupported", Value: strings.Join(unknown, ", ")})
		return false
	}
	return true
}

// unsupportedMethod is the answer to a method we do not take: 405 to one we know
// of, 501 to others.
//
// RFC 3261 §8.2.1, §21.5.2.
func unsupportedMethod(m sip.Method) sip.StatusCode {
	switch m {
	case sip.INVITE, sip.ACK, sip.BYE, sip.CANCEL, sip.OPTIONS, sip.REGISTER, sip.PRACK, sip.UPDATE, sip.INFO,
		sip.MESSAGE, sip.REFER, sip.NOTIFY, sip.SUBSCRIBE, sip.PUBLISH:
		return sip.StatusMethodNotAllowed
	}
	return sip.StatusNotImplemented
}

// opensDialog reports whether an initial request of method m opens a dialog.
func opensDialog(m sip.Method) bool {
	return m == sip.INVITE || m == sip.SUBSCRIBE || m == sip.REFER
}

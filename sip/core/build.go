package core

import "github.com/gosipua/sipua/sip"

const maxForwards = "70" // RFC 3261 §8.1.1.6

// check refuses what cannot be sent. Hostile text in the rest of the request was
// refused by its setters.
func (o *Outgoing) check() error {
	if o.Request.URIText() == "" {
		return &sip.FieldError{Field: "Request-URI", Reason: "missing"}
	}
	return o.Request.SetMethod(o.Request.Method())
}

// complete adds what the request lacks for the chosen flow.
//
// RFC 3261 §8.1.1.
func (o *Outgoing) complete() error {
	via := o.link.newVia()
	if o.completed {
		if err := o.Request.SetHeader("Via", via); err != nil {
			return err
		}
	} else if err := o.begin(via); err != nil {
		return err
	}
	if o.routed {
		return o.core.route(o.Request, o.link)
	}
	return nil
}

// begin completes the request before its first attempt.
func (o *Outgoing) begin(via string) error {
	has := namesIn(o.Request)
	if err := o.identify(&has); err != nil {
		return err
	}
	if err := o.describe(&has); err != nil {
		return err
	}
	o.completed = true
	o.routed = o.Dialog == nil && !has.route
	if has.via {
		o.Request.RemoveHeader("Via")
	}
	return o.Request.PrependHeader("Via", via)
}

// names tells which fields a request has, of those that the core adds to one that
// lacks them. Asking the request for each name would go through its fields each time.
type names struct {
	via, route, maxForwards, from, to, callID, cseq, contact bool
	allow, supported, accept, userAgent, privacy, preferred  bool
}

func namesIn(req *sip.Request) (has names) {
	for f := range req.Fields() {
		switch f.Name {
		case "Via":
			has.via = true
		case "Route":
			has.route = true
		case "Max-Forwards":
			has.maxForwards = true
		case "From":
			has.from = true
		case "To":
			has.to = true
		case "Call-ID":
			has.callID = true
		case "CSeq":
			has.cseq = true
		case "Contact":
			has.contact = true
		case "Allow":
			has.allow = true
		case "Supported":
			has.supported = true
		case "Accept":
			has.accept = true
		case "Privacy":
			has.privacy = true
		case "P-Preferred-Identity":
			has.preferred = true
		case "User-Agent":
			has.userAgent = true
		}
	}
	return has
}

// route gives a request outside dialogs the routes of its flow: the server
// itself where that is wanted, then the Service-Route of the registration.
//
// RFC 3261 §8.1.2, RFC 3608 §6.1.
func (c *Core) route(req *sip.Request, k *link) error {
	var routes []sip.NameAddr
	if c.o.PreloadedRoute {
		routes = append(routes, k.preloaded())
	}
	if req.Method() != sip.REGISTER {
		routes = append(routes, k.services...)
	}
	if len(routes) == 0 && !req.HasHeader("Route") {
		return nil
	}
	return req.SetRoute(routes...)
}

// identify adds Max-Forwards, From, To, Call-ID, CSeq and Contact.
func (o *Outgoing) identify(has *names) error {
	req := o.Request
	if !has.maxForwards {
		if err := req.AddHeader("Max-Forwards", maxForwards); err != nil {
			return err
		}
	}
	if err := o.setFrom(has); err != nil {
		return err
	}
	if !has.to {
		if err := req.AddHeader("To", "<"+req.URIText()+">"); err != nil {
			return err
		}
	}
	if !has.callID {
		if err := req.AddHeader("Call-ID", sip.NewCallID()); err != nil {
			return err
		}
	}
	if !has.cseq || req.CSeq().Seq == 0 {
		if err := req.SetCSeq(sip.CSeq{Seq: 1, Method: req.Method()}); err != nil {
			return err
		}
	}
	if has.contact || !refreshesTarget(req.Method()) {
		return nil
	}
	return req.AddHeader("Contact", o.core.contact(o.anonymous()))
}

// setFrom adds From, or a tag to one that has none.
func (o *Outgoing) setFrom(has *names) error {
	if has.from {
		return o.tagFrom()
	}
	text := o.core.identity.from
	if o.anonymous() {
		text = anonymousFrom
	}
	return o.Request.AddHeader("From", text+";tag="+sip.NewTag())
}

func (o *Outgoing) tagFrom() error {
	from := o.Request.From()
	if from.Tag() != "" {
		return nil
	}
	return o.Request.SetFrom(from.WithTag(sip.NewTag()))
}

// refreshesTarget reports whether requests of method m and their 2xx carry a
// Contact that the dialog goes on with.
//
// RFC 3261 §12.2, RFC 3311 §5.1, RFC 6665 §4.4.1.
func refreshesTarget(m sip.Method) bool {
	switch m {
	case sip.INVITE, sip.UPDATE, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER:
		return true
	}
	return false
}

// describesSender reports whether requests of method m say what methods their
// sender takes. INVITE should, OPTIONS and the requests that make or change a dialog may.
//
// RFC 3261 §13.2.1, §11.1.
func describesSender(m sip.Method) bool {
	return refreshesTarget(m) || m == sip.OPTIONS || m == sip.REGISTER
}

// describe adds Allow, Supported, User-Agent, Privacy and the extra headers.
func (o *Outgoing) describe(has *names) error {
	c, req := o.core, o.Request
	add := func(has bool, name, value string) error {
		if has || value == "" {
			return nil
		}
		return req.AddHeader(name, value)
	}
	if describesSender(req.Method()) {
		if err := add(has.allow, "Allow", c.identity.allow); err != nil {
			return err
		}
	}
	if err := add(has.supported, "Supported", c.identity.supported); err != nil { // in each: RFC 4028 §7.1
		return err
	}
	if req.Method() == sip.OPTIONS {
		if err := add(has.accept, "Accept", c.identity.accept); err != nil { // RFC 3261 §11.1
			return err
		}
	}
	if !o.anonymous() {
		if err := add(has.userAgent, "User-Agent", c.o.UserAgent); err != nil {
			return err
		}
	} else if err := o.keepPrivate(add, has); err != nil {
		return err
	}
	return addExtra(c.extra(o.anonymous()), req.HasHeader, req.AddHeader)
}

// addExtra adds the extra headers, several of one name too, unless the message
// had one of that name before.
func addExtra(extra []sip.Field, has func(name string) bool, add func(name, value string) error) error {
	if len(extra) == 0 {
		return nil
	}
	absent := make([]sip.Field, 0, len(extra))
	for _, f := range extra {
		if !has(f.Name) {
			absent = append(absent, f)
		}
	}
	for _, f := range absent {
		if err := add(f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

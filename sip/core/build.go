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
	if !o.completed {
		if err := o.identify(); err != nil {
			return err
		}
		if err := o.describe(); err != nil {
			return err
		}
		o.completed = true
		o.routed = o.Dialog == nil && !o.Request.HasHeader("Route")
		if o.Request.HasHeader("Via") {
			o.Request.RemoveHeader("Via")
		}
	}
	if o.routed {
		if err := o.core.route(o.Request, o.link); err != nil {
			return err
		}
	}
	return o.Request.SetVia(o.core.via(o.link))
}

func (c *Core) via(k *link) sip.Via {
	return sip.Via{Transport: k.transport, Host: c.o.ViaHost, Params: sip.Params(";branch=" + sip.NewBranch())}
}

// route gives a request outside dialogs the routes of its flow: the server
// itself where that is wanted, then the Service-Route of the registration.
//
// RFC 3261 §8.1.2, RFC 3608 §6.1.
func (c *Core) route(req *sip.Request, k *link) error {
	var routes []sip.NameAddr
	if c.o.PreloadedRoute {
		routes = append(routes, k.preloaded)
	}
	if req.Method() != sip.REGISTER {
		routes = append(routes, k.services...)
	}
	if len(routes) == 0 && !req.HasHeader("Route") {
		return nil
	}
	return req.SetRoute(routes...)
}

// identify adds From, To, Call-ID, CSeq, Max-Forwards and Contact.
func (o *Outgoing) identify() error {
	c, req := o.core, o.Request
	if !req.HasHeader("Max-Forwards") {
		if err := req.AddHeader("Max-Forwards", maxForwards); err != nil {
			return err
		}
	}
	from := req.From()
	switch {
	case from.URI.IsZero() && o.Anonymous:
		from = sip.NameAddr{Display: "Anonymous", URI: anonymousURI}
	case from.URI.IsZero():
		from = c.identity.from
	}
	if from.Tag() == "" {
		if err := req.SetFrom(from.WithTag(sip.NewTag())); err != nil {
			return err
		}
	}
	if !req.HasHeader("To") {
		if err := req.SetTo(sip.NameAddr{URI: req.URI()}); err != nil {
			return err
		}
	}
	if req.CallID() == "" {
		if err := req.SetCallID(sip.NewCallID()); err != nil {
			return err
		}
	}
	if req.CSeq().Seq == 0 {
		if err := req.SetCSeq(sip.CSeq{Seq: 1, Method: req.Method()}); err != nil {
			return err
		}
	}
	if !refreshesTarget(req.Method()) || req.HasHeader("Contact") {
		return nil
	}
	contact := c.identity.contact
	if o.Anonymous {
		contact = c.identity.anonymous
	}
	return req.AddHeader("Contact", contact)
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

// describesSender reports whether requests of method m say what their sender can
// do. INVITE should, OPTIONS and the requests that make or change a dialog may.
//
// RFC 3261 §13.2.1, §11.1.
func describesSender(m sip.Method) bool {
	return refreshesTarget(m) || m == sip.OPTIONS || m == sip.REGISTER
}

// describe adds Allow, Supported, User-Agent, Privacy and the extra headers.
func (o *Outgoing) describe() error {
	c, req := o.core, o.Request
	add := func(name, value string) error {
		if value == "" || req.HasHeader(name) {
			return nil
		}
		return req.AddHeader(name, value)
	}
	if describesSender(req.Method()) {
		if err := add("Allow", c.identity.allow); err != nil {
			return err
		}
		if err := add("Supported", c.identity.supported); err != nil {
			return err
		}
	}
	if req.Method() == sip.OPTIONS {
		if err := add("Accept", c.identity.accept); err != nil { // RFC 3261 §11.1
			return err
		}
	}
	if o.Anonymous {
		if err := add("Privacy", "id"); err != nil {
			return err
		}
	} else if err := add("User-Agent", c.o.UserAgent); err != nil {
		return err
	}
	return addExtra(c.identity.extra, req.HasHeader, req.AddHeader)
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

package siptest

import (
	"slices"

	"github.com/gosipua/sipua/sip"
)

// Dialog is a dialog of a script (RFC 3261 §12). Its fields may be changed to
// send what a broken peer would.
type Dialog struct {
	Local  sip.NameAddr // From of requests, with the tag
	Remote sip.NameAddr // To of requests, with the tag
	CallID string
	Target sip.URI        // Request-URI
	Route  []sip.NameAddr // Route set
	Seq    uint32         // CSeq of the last request

	script *Script
	conn   *Conn
}

// Dialog returns the dialog that a request with the script's answer, or a
// response to a request of the script, opens or belongs to.
func (r *Received) Dialog() *Dialog {
	r.script.tb.Helper()
	d := &Dialog{CallID: r.message().CallID(), script: r.script, conn: r.conn}
	var contact sip.NameAddr
	var err error
	if r.Request != nil {
		contact, _ = r.Request.Contact()
		d.Local, d.Remote = r.Request.To().WithTag(r.tag), r.Request.From()
		d.Route, err = r.Request.NameAddrs("Record-Route")
	} else {
		contact, _ = r.Response.Contact()
		d.Local, d.Remote = r.Response.From(), r.Response.To()
		d.Seq = r.Response.CSeq().Seq
		d.Route, err = r.Response.NameAddrs("Record-Route")
		slices.Reverse(d.Route)
	}
	if err != nil {
		r.script.tb.Fatalf("siptest: Record-Route: %v in:\n%s", err, r.Text)
	}
	d.Target = contact.URI
	return d
}

// NewRequest makes the next request of the dialog without sending it.
func (d *Dialog) NewRequest(method sip.Method, parts ...Part) *sip.Request {
	d.script.tb.Helper()
	d.Seq++
	req := d.newRequest(method, d.Seq)
	d.script.build(req, parts)
	return req
}

func (d *Dialog) newRequest(method sip.Method, seq uint32) *sip.Request {
	d.script.tb.Helper()
	req := sip.NewRequest(method, d.Target)
	d.script.setBasics(req, d.Local, d.Remote, d.CallID, seq)
	_ = req.SetRoute(d.Route...) // was in a message, so it can be set
	return req
}

// Request makes the next request of the dialog and sends it.
func (d *Dialog) Request(method sip.Method, parts ...Part) *Sent {
	d.script.tb.Helper()
	return d.Send(d.NewRequest(method, parts...))
}

// Send sends a request over the connection of the dialog, or the one that the
// client has instead by now.
func (d *Dialog) Send(req *sip.Request) *Sent {
	d.script.tb.Helper()
	s := d.script.server
	s.mu.Lock()
	c := d.conn
	if !s.isAlive(c) {
		c = nil
	}
	s.mu.Unlock()
	return d.script.sendOn(c, req)
}

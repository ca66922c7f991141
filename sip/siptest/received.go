package siptest

import (
	"fmt"

	"github.com/gosipua/sipua/sip"
)

// Received is a message that reached a script. One of Request and Response is
// set.
type Received struct {
	Request  *sip.Request
	Response *sip.Response
	Text     string // as on the wire

	script *Script
	conn   *Conn // it came over; nil for a script that is a client
	tag    string
}

// Conn is the connection that the message came over, where the script is the
// server itself; nil where it is a client.
func (r *Received) Conn() *Conn { return r.conn }

// Header is the first value of a header field, "" if there is none.
func (r *Received) Header(name string) string { return r.message().Header(name) }

// Body is the body as text.
func (r *Received) Body() string { return string(r.message().Body()) }

func (r *Received) message() sip.Message {
	if r.Request != nil {
		return r.Request
	}
	return r.Response
}

func (r *Received) summary() string {
	if r.Request != nil {
		return fmt.Sprintf("%s %s (%s)", r.Request.Method(), r.Request.URI(), r.Request.CSeq())
	}
	return fmt.Sprintf("%d %s (%s)", int(r.Response.StatusCode()), r.Response.Reason(), r.Response.CSeq())
}

// Fork returns the same request as another branch of a forking proxy would have
// seen it: answers to it carry the tag given, and so open another dialog.
func (r *Received) Fork(tag string) *Received {
	fork := *r
	fork.tag = tag
	return &fork
}

// Tag is the To tag of the answers to a request.
func (r *Received) Tag() string { return r.tag }

// Respond answers a request: Via, From, To, Call-ID, CSeq and Record-Route as
// RFC 3261 §8.2.6 has them, the same To tag for each answer, and a Contact in
// those that open or refresh a dialog. Parts change it. It returns r, so that
// calls can be chained.
func (r *Received) Respond(code sip.StatusCode, parts ...Part) *Received {
	r.script.tb.Helper()
	if r.Request == nil {
		r.script.tb.Fatalf("siptest: cannot respond to a response:\n%s", r.Text)
	}
	res := sip.NewResponse(r.Request, code, "")
	if code != sip.StatusTrying {
		res.SetToTag(r.tag)
		if code < 400 && opensDialog(r.Request.Method()) {
			addField(res, sip.Field{Name: "Contact", Value: r.script.Contact.String()})
		}
	}
	r.script.build(res, parts)
	if err := r.script.link.send(r.conn, res); err != nil {
		r.script.tb.Errorf("siptest: sending %d: %v", int(code), err)
	}
	return r
}

// RespondRaw sends text back to where the message came from, as it stands.
func (r *Received) RespondRaw(text string) {
	r.script.tb.Helper()
	if err := r.script.link.sendRaw(r.conn, text); err != nil {
		r.script.tb.Errorf("siptest: sending raw text: %v", err)
	}
}

// Part is a piece of a message that a script makes: a header field, a body, a
// tag. Parts are applied in order.
type Part struct {
	kind  partKind
	name  string
	value string
	body  []byte
}

type partKind uint8

const (
	setField partKind = iota
	addOne
	removeField
	setBody
	setReason
	setTag
)

// SDP is a body of type application/sdp.
func SDP(body string) Part { return Body("application/sdp", body) }

// Body is a body of the content type given.
func Body(contentType, body string) Part {
	return Part{kind: setBody, value: contentType, body: []byte(body)}
}

// Header is a header field that replaces those of its name.
func Header(name, value string) Part { return Part{kind: setField, name: name, value: value} }

// AddHeader is a header field beside those of its name.
func AddHeader(name, value string) Part { return Part{kind: addOne, name: name, value: value} }

// NoHeader leaves out the header fields of a name.
func NoHeader(name string) Part { return Part{kind: removeField, name: name} }

// Reason is the reason phrase of a response.
func Reason(phrase string) Part { return Part{kind: setReason, value: phrase} }

// Tag is the To tag of a response, instead of the script's own. [Received.Fork]
// keeps one over several responses.
func Tag(tag string) Part { return Part{kind: setTag, value: tag} }

// message is what requests and responses have in common for parts.
type message interface {
	sip.Message
	SetHeader(name, value string) error
	AddHeader(name, value string) error
	RemoveHeader(name string)
	SetBody(contentType string, body []byte) error
	SetTo(sip.NameAddr) error
}

// build applies parts to a message; one that cannot be applied fails the test.
func (p *Script) build(m message, parts []Part) {
	p.tb.Helper()
	for _, part := range parts {
		if err := part.apply(m); err != nil {
			p.tb.Fatalf("siptest: %v", err)
		}
	}
}

func (p Part) apply(m message) error {
	switch p.kind {
	case setField:
		return m.SetHeader(p.name, p.value)
	case addOne:
		return m.AddHeader(p.name, p.value)
	case removeField:
		m.RemoveHeader(p.name)
		return nil
	case setBody:
		return m.SetBody(p.value, p.body)
	case setTag:
		return m.SetTo(m.To().WithTag(p.value))
	}
	res, ok := m.(*sip.Response)
	if !ok {
		return fmt.Errorf("a request has no reason phrase")
	}
	return res.SetStatus(res.StatusCode(), p.value)
}

// Package dialog has the SIP dialog of RFC 3261 §12 as a value: its identity,
// sequence numbers, route set and remote target. Every usage of a dialog (a
// call, a subscription) shares one.
//
// No compatibility promise: this package serves the usages of this module and
// changes with them.
//
// A Dialog does no I/O and has no lock. Whoever keeps it guards it, which for
// dialogs attached to a [core.Core] is the core's mutex.
//
// [core.Core]: https://pkg.go.dev/github.com/gosipua/sipua/sip/core#Core
package dialog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gosipua/sipua/sip"
)

// State is the state of a dialog.
//
// RFC 3261 §12.
type State uint8

// The states of a dialog. Early ones are those made by a provisional response.
const (
	Early State = iota
	Confirmed
	Terminated
)

// String returns the RFC's word for s.
func (s State) String() string {
	switch s {
	case Early:
		return "early"
	case Confirmed:
		return "confirmed"
	case Terminated:
		return "terminated"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// ID identifies a dialog at one of its ends. RemoteTag is empty with peers of
// RFC 2543, which need not send tags.
//
// RFC 3261 §12.
type ID struct{ CallID, LocalTag, RemoteTag string }

// String returns the three parts for logs.
func (id ID) String() string {
	return id.CallID + ";local=" + id.LocalTag + ";remote=" + id.RemoteTag
}

// What keeps a message from making a dialog.
var (
	// ErrNoContact: the message has no Contact that can be read, so there is
	// no remote target (RFC 3261 §12.1).
	ErrNoContact = errors.New("dialog: no usable Contact")
	// ErrNoDialog: a response of this status, 100 or from 300 up, makes no
	// dialog (RFC 3261 §12.1).
	ErrNoDialog = errors.New("dialog: response makes no dialog")
)

// Dialog is one dialog as one of its ends sees it. Make one with [NewClient] or
// [NewServer].
type Dialog struct {
	id     ID
	state  State
	server bool // the far side sent the request that made it

	anonymous bool
	hop       string

	local, remote           sip.NameAddr
	localField, remoteField string // the same as written
	target                  sip.URI
	routes                  []sip.NameAddr

	localSeq     uint32 // of the newest request we sent; 0: none yet
	remoteSeq    uint32
	hasRemoteSeq bool
}

// NewClient returns the dialog that res to our own req makes, early for a 1xx
// and confirmed for a 2xx. req is the attempt that was answered: after an
// authenticated retry the newest one.
//
// RFC 3261 §12.1.2.
func NewClient(req *sip.Request, res *sip.Response) (*Dialog, error) {
	code := res.StatusCode()
	if code <= sip.StatusTrying || code >= 300 {
		return nil, ErrNoDialog
	}
	d := &Dialog{
		local:    req.From(),
		remote:   res.To(),
		localSeq: req.CSeq().Seq,
	}
	d.identify(req.CallID())
	if err := d.learn(res); err != nil {
		return nil, err
	}
	if code.IsSuccess() {
		d.state = Confirmed
	}
	return d, nil
}

// NewServer returns the early dialog that answering req with localTag in To
// makes.
//
// RFC 3261 §12.1.1.
func NewServer(req *sip.Request, localTag string) (*Dialog, error) {
	contact, ok := req.Contact()
	if !ok {
		return nil, ErrNoContact
	}
	routes, err := req.NameAddrs("Record-Route")
	if err != nil {
		return nil, err
	}
	d := &Dialog{
		server:       true,
		local:        req.To().WithTag(localTag),
		remote:       req.From(),
		target:       contact.URI,
		routes:       routes,
		remoteSeq:    req.CSeq().Seq,
		hasRemoteSeq: true,
	}
	d.identify(req.CallID())
	return d, nil
}

// identify derives what follows from local and remote.
func (d *Dialog) identify(callID string) {
	d.id = ID{CallID: callID, LocalTag: d.local.Tag(), RemoteTag: d.remote.Tag()}
	d.localField, d.remoteField = d.local.String(), d.remote.String()
}

// learn takes route set and remote target from a response to us.
func (d *Dialog) learn(res *sip.Response) error {
	contact, ok := res.Contact()
	if !ok {
		return ErrNoContact
	}
	routes, err := res.NameAddrs("Record-Route")
	if err != nil {
		return err
	}
	slices.Reverse(routes)
	d.target, d.routes = contact.URI, routes
	return nil
}

// ID returns the dialog's identity.
func (d *Dialog) ID() ID { return d.id }

// State returns the dialog's state.
func (d *Dialog) State() State { return d.state }

// SetState changes the dialog's state.
func (d *Dialog) SetState(s State) { d.state = s }

// Server reports whether the far side opened the dialog: it sent the request
// that made it.
func (d *Dialog) Server() bool { return d.server }

// SetAnonymous says that all we send inside the dialog keeps our identity to
// itself, as the request that made it did (RFC 3323 §4.1).
func (d *Dialog) SetAnonymous(on bool) { d.anonymous = on }

// Anonymous reports whether all we send inside the dialog keeps our identity to
// itself.
func (d *Dialog) Anonymous() bool { return d != nil && d.anonymous }

// SetHop says over which server the dialog goes: over WebSocket the connection is
// the next hop, and there may be several.
func (d *Dialog) SetHop(server string) { d.hop = server }

// Hop returns the server that SetHop named, "" for none.
func (d *Dialog) Hop() string { return d.hop }

// LocalURI returns our identity with our tag, as our requests have it in From.
func (d *Dialog) LocalURI() sip.NameAddr { return d.local }

// RemoteURI returns the peer's identity with its tag, as our requests have it
// in To.
func (d *Dialog) RemoteURI() sip.NameAddr { return d.remote }

// RemoteTarget returns the peer's newest Contact, where requests are addressed.
func (d *Dialog) RemoteTarget() sip.URI { return d.target }

// RouteSet returns the route set in the order of our requests; read-only.
func (d *Dialog) RouteSet() []sip.NameAddr { return d.routes }

// LocalSeq returns the CSeq number of our newest request, 0 before the first.
func (d *Dialog) LocalSeq() uint32 { return d.localSeq }

// Confirm makes an early client dialog confirmed, with the route set and the
// remote target of the 2xx. A 2xx in which they cannot be read leaves those of
// the provisional response in force.
//
// RFC 3261 §13.2.2.4.
func (d *Dialog) Confirm(res *sip.Response) {
	d.state = Confirmed
	// The error is of use to nobody: the call is up, and the best target
	// known is kept.
	_ = d.learn(res)
}

// Receive checks the CSeq of a request inside the dialog, other than ACK and
// CANCEL, and remembers it. It returns 0, or 500 for a request out of order.
//
// RFC 3261 §12.2.2.
func (d *Dialog) Receive(req *sip.Request) sip.StatusCode {
	seq := req.CSeq().Seq
	if d.hasRemoteSeq && seq < d.remoteSeq {
		return sip.StatusServerInternalError
	}
	d.remoteSeq, d.hasRemoteSeq = seq, true
	return 0
}

// Renew takes route set and remote target from req, which is the request that
// made the dialog as it came on another way.
//
// RFC 3261 §12.1.1.
func (d *Dialog) Renew(req *sip.Request) error {
	contact, ok := req.Contact()
	if !ok {
		return ErrNoContact
	}
	routes, err := req.NameAddrs("Record-Route")
	if err != nil {
		return err
	}
	d.target, d.routes = contact.URI, routes
	return nil
}

// Refresh makes the Contact of m, an accepted target refresh request or a 2xx
// to ours, the remote target. Without a Contact nothing changes.
//
// RFC 3261 §12.2.
func (d *Dialog) Refresh(m sip.Message) {
	var contact sip.NameAddr
	var ok bool
	switch m := m.(type) {
	case *sip.Request:
		contact, ok = m.Contact()
	case *sip.Response:
		contact, ok = m.Contact()
	}
	if ok {
		d.target = contact.URI
	}
}

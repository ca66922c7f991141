package rtc

import "github.com/gosipua/sipua/session"

// RelayOnly returns a factory whose media use TURN servers alone, whatever
// Options.RelayOnly says, each with a DTLS identity of its own, since a
// configured certificate tells who we are. Without TURN servers the error is
// session.ErrNoRelay. It makes a Factory a [session.RelayFactory].
func (f *Factory) RelayOnly() (session.MediaFactory, error) {
	o := f.options()
	if len(o.TURNServers) == 0 {
		return nil, session.ErrNoRelay
	}
	o.RelayOnly, o.Certificates = true, nil
	return &Factory{func() Options { return o }}, nil
}

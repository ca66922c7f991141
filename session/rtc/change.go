package rtc

import (
	"errors"
	"fmt"
	"slices"
)

// Change is what a new offer inside a call, or the answer to one, changes of
// the call's media: [session.RenegotiateOptions].Change. What is left zero
// stays as it is.
//
// It takes effect when both sides have agreed and holds from then on, also for
// later offers of either side. An offer that is refused changes nothing.
type Change struct {
	// Add are tracks to send, one of each kind at most: in place of what the
	// call sends of that kind, and with an m-line more where it does not carry
	// that kind yet.
	Add []Track

	// Kinds are kinds to carry as well, though there is nothing to send of them.
	Kinds []Kind

	// Drop are kinds to carry no longer. Their m-lines stay, with port 0, and
	// are used again when the kind comes back (RFC 3264 §8.2). One kind at least
	// has to be left.
	Drop []Kind

	// Codecs are the only ones from now on, in order of preference, for the kinds
	// that have one among them. Names are those of [Options].Codecs.
	Codecs []string

	// Direction is what we want of the m-lines of a kind.
	Direction map[Kind]Direction
}

// want is what we want of one kind of media.
type want struct {
	carried   bool
	track     Track // nil: we send nothing
	onHold    Track // in its place while we hold the call, nil for none
	direction Direction
	codecs    []string // nil: the default ones
}

// wants are what we want of a call: its options and what has changed since.
type wants [Video + 1]want

var allKinds = [...]Kind{Audio, Video}

// wants are what a call begins with. The options are complete.
func (o *Options) wants() wants {
	var w wants
	for _, k := range allKinds {
		w[k].carried = slices.Contains(o.Kinds, k)
		w[k].track, w[k].onHold = trackOf(o.Tracks, k), trackOf(o.HoldTracks, k)
		w[k].direction = o.Direction
		w[k].only(k, o.Codecs)
	}
	return w
}

// only sets the codecs of a kind, where names has any of it.
func (w *want) only(k Kind, names []string) bool {
	if names == nil || len(ours(k, names)) == 0 {
		return false
	}
	w.codecs = names
	return true
}

// trackOf returns what is sent of a kind, nil if nothing is.
func trackOf(tracks []Track, k Kind) Track {
	for _, t := range tracks {
		if kindOf(t.Kind()) == k {
			return t
		}
	}
	return nil
}

// kinds returns the kinds that the call is to carry.
func (w *wants) kinds() []Kind {
	var out []Kind
	for _, k := range allKinds {
		if w[k].carried {
			out = append(out, k)
		}
	}
	return out
}

// asked are the kinds that a change names.
type asked struct {
	added  [Video + 1]bool // to be carried, whether it is already or not
	codecs [Video + 1]bool // in these codecs alone
}

// with returns what we want after a change, which may be nil, and what of it
// the change names.
func (w wants) with(change any) (wants, asked, error) {
	var a asked
	c, err := changeOf(change)
	if err != nil {
		return w, a, err
	}
	kinds, err := kindsOf(c.Add)
	if err != nil {
		return w, a, fmt.Errorf("rtc: Change.Add: %w", err)
	}
	for _, k := range append(kinds, c.Kinds...) {
		if !k.valid() || slices.Contains(c.Drop, k) {
			return w, a, fmt.Errorf("rtc: Change cannot add %s", k)
		}
		w[k].carried, a.added[k] = true, true
		if t := trackOf(c.Add, k); t != nil {
			w[k].track = t
		}
	}
	for _, k := range c.Drop {
		if !k.valid() {
			return w, a, fmt.Errorf("rtc: Change.Drop: unknown Kind %d", k)
		}
		w[k].carried, w[k].track = false, nil
	}
	if len(w.kinds()) == 0 {
		return w, a, errors.New("rtc: Change.Drop leaves no media")
	}
	for k, d := range c.Direction {
		if !k.valid() || !w[k].carried || d > Inactive {
			return w, a, fmt.Errorf("rtc: Change.Direction: no %s, or unknown Direction %d", k, d)
		}
		w[k].direction = d
	}
	if err := checkCodecs(c.Codecs); err != nil {
		return w, a, err
	}
	found := c.Codecs == nil
	for _, k := range w.kinds() {
		a.codecs[k] = w[k].only(k, c.Codecs)
		found = found || a.codecs[k]
	}
	if !found {
		return w, a, errors.New("rtc: Change.Codecs name none of what the call carries")
	}
	return w, a, nil
}

func changeOf(v any) (Change, error) {
	switch c := v.(type) {
	case nil:
		return Change{}, nil
	case Change:
		return c, nil
	case *Change:
		if c != nil {
			return *c, nil
		}
		return Change{}, nil
	}
	return Change{}, fmt.Errorf("rtc: a %T is no rtc.Change", v)
}

// kindsOf returns the kinds of tracks, one of each at most.
func kindsOf(tracks []Track) ([]Kind, error) {
	var out []Kind
	for _, t := range tracks {
		if t == nil {
			return nil, errors.New("a track is nil")
		}
		k := kindOf(t.Kind())
		if k == 0 || slices.Contains(out, k) {
			return nil, errors.New("tracks must be one of each kind at most")
		}
		out = append(out, k)
	}
	return out, nil
}

func (k Kind) valid() bool { return k == Audio || k == Video }

package session

// The subscription that a REFER of ours makes, as a machine (RFC 3515 §2.4.4,
// RFC 6665 §4.1.2). Transfer.step carries the actions out.

// subscriberState is where the subscription stands.
type subscriberState uint8

const (
	subReferring subscriberState = iota // the REFER is out; a NOTIFY may overtake its 2xx
	subWaiting                          // the far end agreed, the outcome is to come
	subTold                             // the outcome is known, the subscription lives on
	subOver
)

var subscriberStateNames = [...]string{"Referring", "Waiting", "Told", "Over"}

func (s subscriberState) String() string { return subscriberStateNames[s] }

// subscriberInput is what happened to it.
type subscriberInput uint8

const (
	subAgreed  subscriberInput = iota // 2xx to the REFER
	subSilent                         // 2xx that makes no subscription (RFC 4488 §4)
	subRefused                        // the REFER failed
	subNews                           // NOTIFY: the target has not decided
	subOutcome                        // NOTIFY: it has, and the subscription goes on
	subLast                           // NOTIFY: the subscription ends
	subLapsed                         // no NOTIFY in time, or none can come any more
	numSubscriberInputs
)

var subscriberInputNames = [...]string{"Agreed", "Silent", "Refused", "News", "Outcome", "Last", "Lapsed"}

func (i subscriberInput) String() string { return subscriberInputNames[i] }

// subscriberActions is what to do, as a set, in the order of these constants.
type subscriberActions uint8

const (
	subTell   subscriberActions = 1 << iota // the application hears of it
	subSettle                               // this is the outcome
	subForget                               // nothing more is to come
)

// step takes one input and returns the next state and what to do.
func (s subscriberState) step(in subscriberInput) (subscriberState, subscriberActions) {
	switch {
	case s == subOver:
		return s, 0
	case in == subRefused || in == subSilent:
		if s == subTold {
			return subOver, subForget
		}
		return subOver, subSettle | subForget
	case s == subTold:
		if in == subLast || in == subLapsed {
			return subOver, subForget
		}
		return s, 0
	case in == subAgreed:
		return subWaiting, 0
	case in == subNews:
		return s, subTell
	case in == subOutcome:
		return subTold, subTell | subSettle
	}
	return subOver, subTell | subSettle | subForget // Last and Lapsed
}

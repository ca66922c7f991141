package session

// The offer/answer machine of one dialog (RFC 3264, RFC 6337): who has an
// offer open, and what the Media is doing about it. It decides what is legal
// and what comes next; the driver in exchange.go carries that out.
//
// A Media blocks, so three states wait for it: oaMakingOffer, oaApplying and
// oaAnswering. Each has a row for everything that can happen meanwhile.

// oaState is where the offer/answer exchange of a dialog stands.
type oaState uint8

const (
	oaStable      oaState = iota // no offer is open
	oaMakingOffer                // Media.Offer runs; nothing has left yet
	oaOffered                    // our offer is out
	oaEarly                      // Media.SetAnswer runs on an answer in a provisional response
	oaApplying                   // Media.SetAnswer runs on the answer
	oaAnswering                  // the application judges the peer's offer, or Media.Answer runs on it
	oaClosed                     // the call is over
)

var oaStateNames = [...]string{"Stable", "MakingOffer", "Offered", "Early", "Applying", "Answering", "Closed"}

func (s oaState) String() string { return oaStateNames[s] }

// oaInput is what happened.
type oaInput uint8

const (
	oaWant        oaInput = iota // an offer of ours is due
	oaOfferMade                  // Media.Offer returned one
	oaEarlyCame                  // the peer's answer came in a provisional response
	oaAnswerCame                 // the peer's answer came
	oaApplied                    // Media.SetAnswer took it
	oaOfferCame                  // the peer's offer came
	oaAnswerMade                 // Media.Answer returned one
	oaMediaFailed                // the Media refused what it was asked
	oaRefused                    // the peer refused our offer, or nothing came of it
	oaEnd                        // the call ends
)

var oaInputNames = [...]string{"Want", "OfferMade", "EarlyCame", "AnswerCame", "Applied", "OfferCame", "AnswerMade", "MediaFailed", "Refused", "End"}

func (i oaInput) String() string { return oaInputNames[i] }

// oaAction is what to do about it.
type oaAction uint8

const (
	oaNothing     oaAction = iota
	oaMakeOffer            // ask the Media for an offer
	oaSendOffer            // put the offer on the wire
	oaApply                // give the answer to the Media
	oaApplyEarly           // give the provisional answer to the Media
	oaMakeAnswer           // give the peer's offer to the Media
	oaSendAnswer           // put the answer on the wire
	oaDone                 // our exchange is complete
	oaFail                 // our exchange came to nothing; the offer never left or its answer is unusable
	oaAbandon              // forget our offer, the call is as it was
	oaRefuse               // 488: the peer's offer is not acceptable
	oaRefuseGlare          // 491: our own offer is open (RFC 3261 §14.2)
	oaRefuseLater          // 500 with Retry-After: an earlier offer of the peer is not answered yet (RFC 3261 §14.2)
	oaPending              // an exchange is under way; ours must wait
	oaKeepAnswer           // hold the final answer until the provisional one is applied
)

var oaActionNames = [...]string{"Nothing", "MakeOffer", "SendOffer", "Apply", "ApplyEarly", "MakeAnswer", "SendAnswer", "Done", "Fail", "Abandon", "Refuse", "RefuseGlare", "RefuseLater", "Pending", "KeepAnswer"}

func (a oaAction) String() string { return oaActionNames[a] }

// offerAnswer is the machine.
type offerAnswer struct {
	state oaState
	kept  oaInput // what came while a provisional answer was being applied: oaAnswerCame, oaRefused or nothing (oaWant)
}

// step takes one input and returns what to do. It does no I/O.
func (m *offerAnswer) step(in oaInput) oaAction {
	if in == oaEnd {
		m.state = oaClosed
		return oaNothing
	}
	switch m.state {
	case oaStable:
		switch in {
		case oaWant:
			return m.to(oaMakingOffer, oaMakeOffer)
		case oaOfferCame:
			return m.to(oaAnswering, oaMakeAnswer)
		}
	case oaMakingOffer:
		switch in {
		case oaOfferMade:
			return m.to(oaOffered, oaSendOffer)
		case oaMediaFailed:
			return m.to(oaStable, oaFail)
		}
		return oursIsOpen(in)
	case oaOffered:
		switch in {
		case oaEarlyCame:
			return m.to(oaEarly, oaApplyEarly)
		case oaAnswerCame:
			return m.to(oaApplying, oaApply)
		case oaRefused:
			return m.to(oaStable, oaAbandon)
		}
		return oursIsOpen(in)
	case oaEarly:
		return m.early(in)
	case oaApplying:
		switch in {
		case oaApplied:
			return m.to(oaStable, oaDone)
		case oaMediaFailed:
			return m.to(oaStable, oaFail)
		}
		return oursIsOpen(in)
	case oaAnswering:
		switch in {
		case oaAnswerMade:
			return m.to(oaStable, oaSendAnswer)
		case oaMediaFailed:
			return m.to(oaStable, oaRefuse)
		case oaOfferCame:
			return oaRefuseLater
		case oaWant:
			return oaPending
		}
	case oaClosed:
		switch in {
		case oaWant, oaOfferCame:
			return oaFail
		}
	}
	return oaNothing // a repeat, or too late to matter
}

// early is the row of oaEarly: the final answer may overtake the Media.
func (m *offerAnswer) early(in oaInput) oaAction {
	switch in {
	case oaApplied, oaMediaFailed: // a provisional answer that cannot be used costs the early media only
		kept := m.kept
		m.state, m.kept = oaOffered, oaWant
		if kept == oaAnswerCame || kept == oaRefused {
			return m.step(kept)
		}
	case oaAnswerCame:
		m.kept = in
		return oaKeepAnswer
	case oaRefused:
		m.kept = in
	}
	return oursIsOpen(in)
}

// oursIsOpen has the rows that all states with an offer of ours share.
func oursIsOpen(in oaInput) oaAction {
	switch in {
	case oaOfferCame:
		return oaRefuseGlare
	case oaWant:
		return oaPending
	}
	return oaNothing // a repeat, or too late to matter
}

func (m *offerAnswer) to(s oaState, a oaAction) oaAction {
	m.state = s
	return a
}

package transaction

// clientInvite is the INVITE client transaction of RFC 3261 figure 5 as
// replaced by RFC 6026 §8.4. Over a reliable transport Timer A is never armed
// and Timer D is zero: Completed is left at once.
type clientInvite struct {
	state    State
	lost     bool // the flow is gone, timerRecovery runs
	canceled bool // CANCEL was sent, timerB runs
}

func (m *clientInvite) step(in input, out *actions) {
	switch m.state {
	case Calling, Proceeding:
		m.pending(in, out)
	case Accepted:
		switch in {
		case success, // a repeat, or another fork's
			provisional: // of another fork; a reliable one wants its PRACK (RFC 5407 figure 7)
			out.add(pass)
		case expired:
			m.state = Terminated
			out.add(finish)
		}
	}
}

func (m *clientInvite) pending(in input, out *actions) {
	switch in {
	case begin:
		out.add(send)
		out.with(start, timerB)
	case provisional:
		// After CANCEL 64·T1 stay the limit (RFC 3261 §9.1).
		if !m.canceled && (m.state == Calling || m.lost) {
			out.add(stop)
		}
		m.state, m.lost = Proceeding, false
		out.add(pass)
	case success:
		m.state = Accepted
		out.with(start, timerM)
		out.add(pass)
	case failure:
		m.state = Terminated
		out.add(ack)
		out.add(pass)
		out.add(finish)
	case canceled:
		m.canceled = true
		out.with(start, timerB)
	case flowLost:
		// Not the RFC's "Transport Err.": the far side may be ringing, and
		// answers on the next flow.
		if !m.canceled {
			m.lost = true
			out.with(start, timerRecovery)
		}
	case expired:
		m.state = Terminated
		if m.lost {
			out.add(fail)
		} else {
			out.with(fail, timerB)
		}
		out.add(finish)
	}
}

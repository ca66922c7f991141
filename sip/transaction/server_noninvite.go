package transaction

// serverNonInvite is the non-INVITE server transaction of RFC 3261 figure 8.
// Over a reliable transport Timer J is zero: Completed is left at once. RFC 4320
// §4.1 adds a 100 after the time in which Timer E would reach T2, and beyond the
// RFCs a request that nobody answers is answered while its sender still waits.
type serverNonInvite struct {
	state State
	late  bool // timerTrying has fired, timerAnswer runs
}

func (m *serverNonInvite) step(in input, out *actions) {
	if m.state == Terminated {
		return
	}
	switch in {
	case begin:
		m.state = Trying
		out.with(start, timerLate)
	case repeated:
		if m.state == Proceeding {
			out.add(send)
		}
	case provisional:
		m.state = Proceeding
		out.add(send)
	case success, failure:
		m.state = Terminated
		out.add(send)
		out.add(finish)
	case expired:
		m.expired(out)
	case flowLost:
		m.state = Terminated
		out.add(fail)
		out.add(finish)
	}
}

func (m *serverNonInvite) expired(out *actions) {
	if m.late {
		out.add(answer)
		return
	}
	m.late = true
	if m.state == Trying {
		m.state = Proceeding
		out.add(trying)
	}
	out.with(start, timerAnswer)
}

package transaction

// serverNonInvite is the non-INVITE server transaction of RFC 3261 figure 8.
// Over a reliable transport Timer J is zero: Completed is left at once. RFC 4320
// §4.1 adds a 100 after the time in which Timer E would reach T2, and beyond the
// RFCs a request that nobody answers is answered while its sender still waits.
//
// While its flow is gone it goes on, and keeps its final response in Completed
// for the next one until the sender has given up.
type serverNonInvite struct {
	state State
	late  bool // timerLate has fired, timerAnswer runs
	due   bool // that too, timerLast runs
	lost  bool // the flow is gone
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
		m.state = Completed
		if !m.lost {
			m.answered(out)
		}
	case expired:
		m.expired(out)
	case flowLost:
		m.lost = true
	case flowFound:
		m.lost = false
		switch m.state {
		case Proceeding:
			out.add(send)
		case Completed:
			m.answered(out)
		}
	}
}

// answered lets the final response go, after which nothing is left to do.
func (m *serverNonInvite) answered(out *actions) {
	m.state = Terminated
	out.add(send)
	out.add(finish)
}

func (m *serverNonInvite) expired(out *actions) {
	switch {
	case !m.late:
		m.late = true
		if m.state == Trying {
			m.state = Proceeding
			out.add(trying)
		}
		out.with(start, timerAnswer)
	case !m.due:
		m.due = true
		out.with(start, timerLast)
		if m.state != Completed {
			out.add(answer)
		}
	default:
		if m.state != Completed {
			out.add(fail)
		}
		m.state = Terminated
		out.add(finish)
	}
}

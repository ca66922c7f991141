package transaction

// clientNonInvite is the non-INVITE client transaction of RFC 3261 figure 6.
// Over a reliable transport Timer E is never armed and Timer K is zero:
// Completed is left at once.
type clientNonInvite struct{ state State }

func (m *clientNonInvite) step(in input, out *actions) {
	if m.state == Terminated {
		return
	}
	switch in {
	case begin:
		m.state = Trying
		out.add(send)
		out.with(start, timerF)
	case provisional: // Timer F goes on
		m.state = Proceeding
		out.add(pass)
	case success, failure:
		m.state = Terminated
		out.add(pass)
		out.add(finish)
	case expired:
		m.state = Terminated
		out.with(fail, timerF)
		out.add(finish)
	case flowLost:
		m.state = Terminated
		out.add(fail)
		out.add(finish)
	}
}

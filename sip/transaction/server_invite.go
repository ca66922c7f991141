package transaction

// serverInvite is the INVITE server transaction of RFC 3261 figure 7 as
// replaced by RFC 6026 §8.6. Over a reliable transport Timer G is never armed
// and Timer I is zero: Confirmed is left at once.
type serverInvite struct{ state State }

func (m *serverInvite) step(in input, out *actions) {
	switch m.state {
	case Proceeding:
		m.proceeding(in, out)
	case Completed:
		switch in {
		case repeated:
			out.add(send)
		case acked, expired, flowLost:
			m.state = Terminated
			out.add(finish)
		}
	case Accepted:
		switch in {
		case success: // repeated by the TU
			out.add(send)
		case acked:
			out.add(pass)
		case expired:
			m.state = Terminated
			out.add(finish)
		}
	}
}

func (m *serverInvite) proceeding(in input, out *actions) {
	switch in {
	case begin:
		out.with(start, timerTrying)
	case expired:
		out.add(trying)
	case provisional:
		out.add(stop)
		out.add(send)
	case repeated:
		out.add(send)
	case canceled:
		out.add(pass)
	case success:
		m.state = Accepted
		out.add(send)
		out.with(start, timerL)
	case failure:
		m.state = Completed
		out.add(send)
		out.with(start, timerH)
	case flowLost:
		m.state = Terminated
		out.add(fail)
		out.add(finish)
	}
}

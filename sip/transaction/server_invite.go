package transaction

// serverInvite is the INVITE server transaction of RFC 3261 figure 7 as
// replaced by RFC 6026 §8.6. Over a reliable transport Timer G is never armed
// and Timer I is zero: Confirmed is left at once.
//
// A loss of its flow ends it in no state: for the recovery limit, in place of
// the timer of its state, it waits for the next one.
type serverInvite struct {
	state State
	said  bool // a provisional response was made
	lost  bool // the flow is gone, timerRecovery runs
}

func (m *serverInvite) step(in input, out *actions) {
	switch {
	case m.state == Terminated:
	case in == flowLost:
		m.lost = true
		out.with(start, timerRecovery)
	case in == flowFound:
		if m.lost {
			m.lost = false
			m.found(out)
		}
	case in == expired && m.lost:
		if m.state != Completed {
			out.add(fail)
		}
		m.state = Terminated
		out.add(finish)
	case m.state == Proceeding:
		m.proceeding(in, out)
	case m.state == Completed:
		switch in {
		case repeated:
			out.add(send)
		case acked, expired:
			m.state = Terminated
			out.add(finish)
		}
	case m.state == Accepted:
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
		m.said = true
		out.add(trying)
	case provisional:
		m.said = true
		if !m.lost {
			out.add(stop)
		}
		out.add(send)
	case repeated:
		out.add(send)
	case canceled:
		out.add(pass)
	case success:
		m.state = Accepted
		out.add(send)
		m.await(timerL, out)
	case failure:
		m.state = Completed
		out.add(send)
		m.await(timerH, out)
	}
}

// await starts the timer of the state; while the flow is gone its time has not
// begun.
func (m *serverInvite) await(t timer, out *actions) {
	if !m.lost {
		out.with(start, t)
	}
}

// found goes on with another flow: the far side may know nothing of what was
// said last. A 2xx is the TU's to repeat, who knows whether the ACK has come.
func (m *serverInvite) found(out *actions) {
	switch m.state {
	case Proceeding:
		if !m.said {
			out.with(start, timerTrying)
			return
		}
		out.add(stop)
		out.add(send)
	case Completed:
		out.add(send)
		out.with(start, timerH)
	case Accepted:
		out.with(start, timerL)
	}
	out.add(found)
}

package rtc

// Direction says which way the media of an m-line flows, seen from the side
// whose description it stands in (RFC 8866 §6.7).
type Direction uint8

// The directions. The zero value is [SendRecv], the default of SDP.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

// String returns the name of the SDP attribute.
func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

func parseDirection(name string) (Direction, bool) {
	for _, d := range [...]Direction{SendRecv, SendOnly, RecvOnly, Inactive} {
		if d.String() == name {
			return d, true
		}
	}
	return SendRecv, false
}

func directionOf(send, recv bool) Direction {
	switch {
	case send && recv:
		return SendRecv
	case send:
		return SendOnly
	case recv:
		return RecvOnly
	}
	return Inactive
}

func (d Direction) sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) receives() bool { return d == SendRecv || d == RecvOnly }

// held is d as the holding side offers it (RFC 3264 §8.4).
func (d Direction) held(hold bool) Direction {
	return directionOf(d.sends(), d.receives() && !hold)
}

// answer is the direction of an answer to offered where we want d
// (RFC 3264 §6.1): nothing flows that either side does not want.
func (d Direction) answer(offered Direction) Direction {
	return directionOf(d.sends() && offered.receives(), d.receives() && offered.sends())
}

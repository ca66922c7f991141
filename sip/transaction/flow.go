package transaction

// Flow is one connection to a server. Send queues a copy of one message; it does
// not block and does not call back. On a flow that is gone it returns an error.
type Flow interface {
	ID() uint64
	Send(msg []byte) error
}

// Link is a flow as transactions keep it.
type Link struct {
	Flow
	Server string // name of the flow's server

	down bool
	err  error // why
}

// Down reports whether the flow is gone.
func (k *Link) Down() bool { return k.down }

// Err returns why the flow is gone, nil while it is not.
func (k *Link) Err() error { return k.err }

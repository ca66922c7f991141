package session

import (
	"github.com/gosipua/sipua/sip/core"
)

// What calls do about the loss of a connection. A WebSocket is replaceable, a
// call is not: the loss of one ends none.

// flowChanged takes the coming and going of flows.
func (m *Manager) flowChanged(f core.Flow, info core.FlowInfo, up bool, err error) { // [locked]
}

// flowReady takes a flow over which others reach us again.
func (m *Manager) flowReady(f core.Flow, info core.FlowInfo) { // [locked]
}

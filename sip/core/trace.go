package core

import (
	"log/slog"
	"sync"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/transaction"
)

// TraceEvent is one message on its way in or out.
type TraceEvent struct {
	Time   time.Time
	In     bool   // received; else sent
	Flow   uint64 // ID of the flow
	Server string // FlowInfo.Server of the flow
	Data   []byte // the message, credentials redacted; the receiver's to keep
	Err    error  // why it could not be read, or was refused unread (*sip.ParseError, *sip.Problem)
}

func (c *Core) trace(k *transaction.Link, in bool, data []byte, err error) {
	if c.o.Trace == nil {
		return
	}
	c.o.Trace(TraceEvent{
		Time:   time.Now(),
		In:     in,
		Flow:   k.ID(),
		Server: k.Server,
		Data:   sip.Redact(make([]byte, 0, len(data)), data),
		Err:    err,
	})
}

// buffers are what messages are written into on their way to a flow, which
// copies them. They are shared, because an idle user agent should not keep one.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// pooled is the size up to which a buffer goes back to the pool.
const pooled = 16 << 10

// send writes one message to the link's flow. It is the only place where
// messages leave.
func (c *Core) send(k *transaction.Link, m sip.Message) {
	if k.Down() || c.closed != nil {
		return
	}
	buffer := buffers.Get().(*[]byte)
	b := m.AppendTo((*buffer)[:0])
	c.trace(k, false, b, nil)
	if err := k.Send(b); err != nil {
		// FlowDown tells the transactions; until then they need not know.
		c.log(slog.LevelDebug, "message not sent", slog.Uint64("flow", k.ID()),
			slog.String("server", k.Server), slog.Any("error", err))
	}
	if cap(b) <= pooled {
		*buffer = b
		buffers.Put(buffer)
	}
}

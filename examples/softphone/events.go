package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// newEvents returns what writes events: package slog, with its message as the
// name of the event, writes exactly one line each, in JSON or as text.
func newEvents(w io.Writer, asJSON bool) *slog.Logger {
	o := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case len(groups) > 0:
		case a.Key == slog.MessageKey:
			a.Key = "event"
		case a.Key == slog.TimeKey, a.Key == slog.LevelKey, a.Value.Equal(slog.StringValue("")):
			return slog.Attr{}
		}
		return a
	}}
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// output is where events go until the phone is at its end.
type output struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu; nil at the end
}

// Write takes a line. People need not be told that an event is one.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w != nil {
		if _, err := o.w.Write(bytes.TrimPrefix(line, []byte("event="))); err != nil {
			return 0, err
		}
	}
	return len(line), nil
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = nil
}

// emit writes an event, with its fields as package slog takes them. One with an
// empty text is left out.
func (p *phone) emit(event string, fields ...any) {
	p.events.Log(context.Background(), slog.LevelInfo, event, fields...)
}

// failed tells what came of a command that did not work.
func (p *phone) failed(command, id string, err error) {
	p.emit("error", append([]any{"command", command, "id", id}, reasons(err)...)...)
}

// reasons are the fields that say what an error is about: the SIP status and
// JsSIP's name for it, where there are such, and its text.
func reasons(err error) []any {
	var fields []any
	if code := sip.StatusOf(err); code != 0 {
		fields = append(fields, "code", int(code))
	}
	return append(fields, "cause", causeOf(err), "reason", err.Error())
}

// causeOf is the name that JsSIP has for a failure, or none.
func causeOf(err error) string {
	var end *session.EndError
	switch {
	case errors.As(err, &end):
	case sip.StatusOf(err) != 0:
		end = &session.EndError{Remote: true, Kind: session.EndRejected, Err: err}
		if sip.StatusOf(err) == sip.StatusRequestTimeout {
			end.Kind = session.EndTimeout
		}
	case errors.Is(err, net.ErrClosed):
		end = &session.EndError{Kind: session.EndTransportLost}
	default:
		return ""
	}
	return end.Cause()
}

package rtc

import (
	"slices"
	"sync"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// onDemand makes its interceptor with the first stream whose lost packets can
// be asked for. Most calls never have one, and it keeps a goroutine.
type onDemand struct{ interceptor.Factory }

// NewInterceptor is called for each PeerConnection.
func (f onDemand) NewInterceptor(id string) (interceptor.Interceptor, error) {
	return &late{id: id, factory: f.Factory}, nil
}

// late is an interceptor that is not made yet, or is.
type late struct {
	interceptor.NoOp
	id      string
	factory interceptor.Factory

	mu     sync.Mutex
	writer interceptor.RTCPWriter  // guarded by mu
	made   interceptor.Interceptor // guarded by mu
	closed bool                    // guarded by mu
}

func (l *late) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer = w
	return w
}

func (l *late) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	l.mu.Lock()
	defer l.mu.Unlock()
	nack := interceptor.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK}
	if l.closed || !slices.Contains(info.RTCPFeedback, nack) {
		return r
	}
	if l.made == nil {
		made, err := l.factory.NewInterceptor(l.id)
		if err != nil {
			return r
		}
		made.BindRTCPWriter(l.writer)
		l.made = made
	}
	return l.made.BindRemoteStream(info, r)
}

func (l *late) UnbindRemoteStream(info *interceptor.StreamInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made != nil {
		l.made.UnbindRemoteStream(info)
	}
}

func (l *late) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.made == nil {
		return nil
	}
	return l.made.Close()
}

package sipua

import (
	"errors"
	"fmt"
	"time"

	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/transport"
)

// wireTransport makes a pool for each flow, which keeps one connection up to a
// server that no other pool has.
func (ua *UA) wireTransport(cfg *Config) {
	ua.sleep.within = max(5*time.Second, cfg.PingInterval) + time.Second
	for i := range cfg.Flows {
		ua.pools = append(ua.pools, transport.NewPool(ua.poolOptions(cfg, i+1)))
	}
}

// poolOptions are the options of the pool for the flow with that reg-id.
func (ua *UA) poolOptions(cfg *Config, regID int) transport.Options {
	o := transport.Options{
		Servers:           cfg.WSServers,
		Dial:              cfg.Dial,
		DialContext:       cfg.DialContext,
		ConnectTimeout:    cfg.ConnectTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		RecoveryMin:       cfg.ConnectionRecoveryMinInterval,
		RecoveryMax:       cfg.ConnectionRecoveryMaxInterval,
		PingInterval:      cfg.PingInterval,
		PongTimeout:       cfg.PongTimeout,
		KeepAliveInterval: cfg.KeepAliveInterval,
		MaxMessage:        cfg.MaxMessageSize,
		FailBack:          ua.failBack(cfg.FailBack),
		Numbers:           &ua.numbers,
		Gate:              cfg.Gate,
		Logger:            cfg.Logger,
		Events: transport.Events{
			Connecting: func(s WSServer, attempt int) { ua.connecting(regID, s, attempt) },
			Failed:     func(s WSServer, err error, retryIn time.Duration) { ua.connectFailed(regID, s, err, retryIn) },
			Up:         func(f *transport.Flow) { ua.flowUp(regID, f) },
			Message:    func(f *transport.Flow, data []byte) { ua.core.Receive(f, data) },
			TooLong:    func(f *transport.Flow, head []byte) { ua.core.ReceiveTooLong(f, head) },
			Down:       func(f *transport.Flow, err error) { ua.flowDown(regID, f, err) },
			Retry:      func(in time.Duration, attempt int) { ua.reconnecting(regID, in, attempt) },
			Resumed:    func(asleep time.Duration) { ua.resumed(regID, asleep) },
		},
	}
	if cfg.Flows > 1 {
		o.Exclude = func(s WSServer) bool { return ua.usedByOther(regID, s) }
	}
	return o
}

// usedByOther reports whether a pool other than that of the flow with that reg-id
// has a server: RFC 5626 §4.2.1 has each flow go to one of its own.
func (ua *UA) usedByOther(regID int, s WSServer) bool {
	for i, p := range ua.pools {
		if i != regID-1 && p.Uses(s) {
			return true
		}
	}
	return false
}

// serverName is what tells a connection's server from others for nonces, recovery
// and logs. It is not what Config.Dial made of it, nor has it a query: there may be
// a new token in either each time.
func serverName(f *transport.Flow) string {
	if s := f.Configured(); s.URL != "" {
		return s.String()
	}
	return f.Server().String()
}

// leave gives up the connection to a server that does not register us for one to
// another server, if there is one that is free and did no worse.
func (ua *UA) leave(servers []WSServer) func(f core.Flow, err error, after time.Duration) {
	return func(f core.Flow, err error, after time.Duration) { // [locked]
		flow, ok := f.(*transport.Flow)
		if !ok {
			return
		}
		for _, s := range servers {
			if s.URL != flow.Configured().URL && !ua.usedByOther(0, s) && !ua.reg.Avoids(s.String()) {
				// What else is under way on it did not meet that response.
				flow.Leave(fmt.Errorf("sipua: the server does not register us: %v", err), after)
				return
			}
		}
	}
}

// endPools ends all pools. Each on this goroutine: where it is a pool's own, which
// has called the application, they do not wait.
func (ua *UA) endPools(end func(*transport.Pool) error) (err error) {
	for _, p := range ua.pools {
		err = errors.Join(err, end(p))
	}
	return err
}

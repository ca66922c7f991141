package sipua

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/transport"
)

// UA is a SIP user agent: one address of record, registered over one of its
// WebSocket servers or over two at once, with any number of calls. Make one with [NewUA], Start it,
// and in the end Shutdown or Close it.
//
// All methods may be called at any time, from any goroutine and from any
// handler.
type UA struct {
	core     *core.Core
	pools    []*transport.Pool // one for each of Config.Flows
	numbers  atomic.Uint64     // of flows so far
	reg      *registrar.Set
	calls    *session.Manager
	events   *core.Queue
	traces   *core.Queue
	domain   sip.URI
	handler  Handler
	keepTel  bool
	register bool
	log      *slog.Logger
	ready    *readiness
	sleep    sleep
	servers  flowServers
	end      ending
}

// NewUA validates cfg as a whole and wires a UA from it. It does no I/O. The
// error names everything that is wrong: errors.As finds the first
// [*ConfigError].
func NewUA(cfg Config) (*UA, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	ua := &UA{
		handler:  cfg.Handler,
		domain:   cfg.domain(),
		keepTel:  cfg.KeepTel,
		register: *cfg.Register,
		log:      cfg.Logger,
		ready:    newReadiness(),
		end:      newEnding(),
	}
	ua.wireCore(&cfg)
	ua.wireTransport(&cfg)
	ua.wireRegistrar(&cfg)
	ua.wireCalls(&cfg)
	return ua, nil
}

func (ua *UA) wireCore(cfg *Config) {
	o := core.Options{
		URI:                               cfg.aor(),
		DisplayName:                       cfg.DisplayName,
		Contact:                           cfg.contact(),
		ViaHost:                           cfg.ViaHost,
		UserAgent:                         cfg.UserAgent,
		PreloadedRoute:                    cfg.UsePreloadedRoute,
		Allow:                             allowed,
		Accept:                            accepted,
		Supported:                         supported(cfg),
		ExtraHeaders:                      cfg.ExtraHeaders,
		Policy:                            cfg.policy(),
		Credentials:                       cfg.credentials(),
		Token:                             cfg.token(),
		Realm:                             cfg.Realm,
		AnswerChallengesInIncomingDialogs: cfg.AnswerChallengesInIncomingDialogs,
		AcceptAnyUser:                     *cfg.AcceptAnyUser,
		RecoveryLimit:                     cfg.RecoveryLimit,
		MaxTransactions:                   cfg.MaxTransactions,
		MaxDialogs:                        cfg.MaxDialogs,
		MaxTimeouts:                       cfg.MaxTimeouts,
		OptionsInterval:                   cfg.OptionsInterval,
		OptionsTimeout:                    cfg.OptionsTimeout,
		OptionsURI:                        cfg.registrar(),
		RoundTrip:                         ua.roundTrip,
		FailFlow:                          failFlow,
		Logger:                            cfg.Logger,
		Trace:                             ua.tracer(cfg),
	}
	if cfg.HackViaTCP {
		o.ViaTransport = "TCP"
	}
	ua.core = core.New(o)
	ua.events, ua.traces = ua.core.NewQueue(nil), ua.core.NewQueue(nil)
	ua.core.Lock()
	defer ua.core.Unlock()
	if ua.handler.Message != nil {
		ua.core.Handle(sip.MESSAGE, ua.asking(ua.handler.Message))
	}
	if ua.handler.Options != nil {
		ua.core.Handle(sip.OPTIONS, ua.asking(ua.handler.Options))
	}
}

// allowed are the methods that a UA takes, inside calls or outside.
var allowed = []sip.Method{
	sip.INVITE, sip.ACK, sip.CANCEL, sip.BYE, sip.UPDATE, sip.OPTIONS,
	sip.INFO, sip.MESSAGE, sip.NOTIFY, sip.REFER, sip.PRACK, sip.SUBSCRIBE,
}

// supported are the option tags of what a UA can do.
func supported(cfg *Config) []string {
	tags := []string{"outbound", "path", "gruu", "199", "replaces", "norefersub", "tdialog"}
	if cfg.ReliableProvisionals != session.ReliableOff {
		tags = append(tags, "100rel")
	}
	return tags
}

// accepted are the bodies that a UA reads.
var accepted = []string{"application/sdp", "multipart/mixed", "multipart/alternative", "application/dtmf-relay"}

// failBack tells the pool whether it may leave a server that works: while nothing
// is under way that would be lost with the connection.
func (ua *UA) failBack(wanted bool) func() bool {
	if !wanted {
		return nil
	}
	return func() bool {
		if ua.calls.Busy() {
			return false
		}
		ua.core.Lock()
		defer ua.core.Unlock()
		h := ua.core.Holdings()
		return h.Dialogs == 0 && h.Transactions == 0 && h.Parked == 0
	}
}

func (ua *UA) wireRegistrar(cfg *Config) {
	ua.reg = registrar.NewSet(registrar.Options{
		Core:         ua.core,
		Registrar:    cfg.registrar(),
		AOR:          cfg.aor(),
		Contact:      cfg.registerContact(),
		InstanceID:   cfg.instanceURN(),
		Expires:      cfg.RegisterExpires,
		FromTagTrail: cfg.RegisterFromTagTrail,
		Auto:         ua.register,
		Event:        ua.registration,
		KeepAlive: func(f core.Flow, d time.Duration) {
			if f, ok := f.(*transport.Flow); ok {
				f.SetKeepAlive(d)
			}
		},
		Leave:  ua.leave(cfg.WSServers),
		Logger: cfg.Logger,
	}, cfg.Flows)
}

func (ua *UA) wireCalls(cfg *Config) {
	ice := rtc.Options{
		STUNServers:   cfg.STUNServers,
		TURNServers:   cfg.TURNServers,
		RelayOnly:     cfg.ICERelayOnly,
		GatherTimeout: cfg.ICEGatheringTimeout,
		Logger:        cfg.Logger,
	}
	// A factory of this module has the UA's ICE settings where it brings none.
	complete := func(f session.MediaFactory) session.MediaFactory {
		if f, ok := f.(*rtc.Factory); ok {
			return f.WithDefaults(ice)
		}
		return f
	}
	media := cfg.Media
	if media == nil {
		media = rtc.New(rtc.Options{})
	}
	ua.calls = session.NewManager(session.Options{
		Core:             ua.core,
		Identity:         cfg.aor(),
		Domain:           cfg.domain(),
		KeepTel:          cfg.KeepTel,
		Media:            complete(media),
		MediaDefaults:    complete,
		Call:             cfg.Handler.Call,
		Refer:            cfg.Handler.Refer,
		Handler:          cfg.Handler.Session,
		NoAnswerTimeout:  cfg.NoAnswerTimeout,
		RingTimeout:      cfg.RingTimeout,
		Reliability:      cfg.ReliableProvisionals,
		MediaRecovery:    cfg.MediaRecovery,
		AskOnReplacement: cfg.AskOnReplacement,
		MaxCalls:         cfg.MaxCalls,
		InfoPackages:     cfg.InfoPackages,
		SessionTimers:    *cfg.SessionTimers,
		SessionExpires:   cfg.SessionExpires,
		MinSE:            cfg.MinSE,
		RefreshMethod:    cfg.SessionTimersRefreshMethod,
		ForceRefresher:   cfg.SessionTimersForceRefresher,
		Condition:        ua.condition,
		Logger:           cfg.Logger,
	})
}

// isRefusal reports whether a REGISTER failed by the registrar's decision and
// not for want of time or of a server.
func isRefusal(err error) bool {
	var res *sip.ResponseError
	return errors.As(err, &res) && res.StatusCode()/100 != 5 && res.StatusCode() != sip.StatusRequestTimeout
}

// asking has the application answer a request outside calls.
func (ua *UA) asking(h func(context.Context, *sip.Request) sip.StatusCode) func(*core.Incoming) {
	return func(in *core.Incoming) {
		ctx, cancel := context.WithCancelCause(context.Background())
		in.OnLost = cancel
		ok := ua.events.Push(func() {
			code := sip.StatusServerInternalError // what a panic comes to
			defer func() {
				cancel(nil)
				ua.core.Lock()
				defer ua.core.Unlock()
				in.Reply(code, "")
			}()
			if answer := h(ctx, in.Request()); answer.IsFinal() {
				code = answer
			}
		})
		if !ok {
			cancel(nil)
			in.Reply(sip.StatusServerInternalError, "", sip.Field{Name: "Retry-After", Value: "5"})
		}
	}
}

// Start connects and, unless Config.Register says otherwise, registers; it may
// be called once. It returns nil when the UA is ready, with several Config.Flows
// on the first of them. A refusal by the
// registrar is a [*sip.ResponseError]. When ctx ends first Start returns its
// cause, joined with the last failure, while the UA goes on trying in the
// background until Close; with a ctx that has ended already it returns at once
// and does just that.
func (ua *UA) Start(ctx context.Context) error {
	select {
	case <-ua.end.begun:
		return net.ErrClosed
	default:
	}
	if !ua.ready.start() {
		return errors.New("sipua: Start was called before")
	}
	background := ctx.Err() != nil
	for _, p := range ua.pools {
		p.Start()
	}
	if background { // however fast the server is
		return errors.Join(context.Cause(ctx), ua.ready.lastFailure())
	}
	select {
	case <-ua.ready.ch:
		return ua.ready.err()
	case <-ua.end.begun:
		return net.ErrClosed
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), ua.ready.lastFailure())
	}
}

// Call calls target and returns when the call is up, or why it is not: an
// error for which errors.Is(err, sip.StatusBusyHere) and its like tell the
// refusal. Target is a SIP URI, a user of our own domain, a number or a tel:
// URI. When ctx ends first Call returns its cause at once and gives the call
// up in the background; once Call has returned, ctx has no effect. Nil options
// mean all defaults.
func (ua *UA) Call(ctx context.Context, target string, o *session.CallOptions) (*session.Session, error) {
	return ua.calls.Call(ctx, target, o)
}

// Invite is Call without the waiting: it returns at once, and the Session tells
// what comes of it.
func (ua *UA) Invite(ctx context.Context, target string, o *session.CallOptions) (*session.Session, error) {
	return ua.calls.Invite(ctx, target, o)
}

// Refer asks target, outside of any call, to call referTo (RFC 3515); both are
// what Call takes. It returns when target has agreed to try, or with its
// refusal, a [*sip.ResponseError], and waits for a connection as long as ctx; the
// Transfer tells what comes of it. Nil options mean all defaults. Of several who
// take it where target forks the first to report is heard. To transfer a call
// use [session.Session.Refer] and ReferTo.
func (ua *UA) Refer(ctx context.Context, target, referTo string, o *session.ReferOptions) (*session.Transfer, error) {
	return ua.calls.Refer(ctx, target, referTo, o)
}

// Calls returns the calls that are not over, in no order.
func (ua *UA) Calls() []*session.Session { return ua.calls.Sessions() }

// Register sends a REGISTER and returns its outcome; from then on the
// registration is kept, also where Config.Register is false (RFC 3261 §10.2).
func (ua *UA) Register(ctx context.Context) error { return ua.reg.Register(ctx) }

// Unregister removes our binding, or with all every binding of our address,
// and stops keeping it (RFC 3261 §10.2.2).
func (ua *UA) Unregister(ctx context.Context, all bool) error { return ua.reg.Unregister(ctx, all) }

// Registration is where the registration stands; with several Config.Flows that
// of the one which requests outside dialogs take, the heaviest that is registered,
// or while none is, that of the one which is closest to it.
func (ua *UA) Registration() registrar.Registration { return ua.reg.Registration() }

// Registrations are the registrations of all Config.Flows.
func (ua *UA) Registrations() []registrar.Registration { return ua.reg.Registrations() }

// SetCredentials changes what challenges are answered with, as
// digest.Password("alice", "new password"), or the token that goes unasked, as
// digest.Bearer(token), and lets a registration go on that was refused with the
// old ones. It replaces Config.Credentials too.
func (ua *UA) SetCredentials(c digest.Credentials) {
	ua.core.Lock()
	if c.IsToken() {
		ua.core.SetCredentials(nil, func(context.Context) (digest.Credentials, error) { return c, nil })
	} else {
		ua.core.SetCredentials(func(context.Context, digest.Challenge) (digest.Credentials, error) { return c, nil }, nil)
	}
	ua.core.Unlock()
	ua.reg.CredentialsChanged()
}

// SetDisplayName changes the display name of requests to come. It fails on CR,
// LF and NUL.
func (ua *UA) SetDisplayName(name string) error {
	var p problems
	p.text("display_name", name)
	if len(p) > 0 {
		return errors.Join(p...)
	}
	ua.core.Lock()
	defer ua.core.Unlock()
	ua.core.SetDisplayName(name)
	return nil
}

// SetExtraHeaders changes the fields that are added to every message to come.
func (ua *UA) SetExtraHeaders(fields []sip.Field) error {
	var p problems
	p.extraHeaders(fields)
	if len(p) > 0 {
		return errors.Join(p...)
	}
	ua.core.Lock()
	defer ua.core.Unlock()
	ua.core.SetExtraHeaders(fields)
	return nil
}

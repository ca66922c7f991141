package core

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/sip/transaction"
)

// Options configures a [Core]. It is read once, by [New].
type Options struct {
	URI         sip.URI // address of record; From
	DisplayName string  // display name in From; "": none
	Contact     sip.URI // our own address, with transport=ws

	ViaHost      string // sent-by of Via; "": a random host below .invalid (RFC 7118 §5)
	ViaTransport string // transport of Via; "": WS or WSS as the flow is

	UserAgent      string       // User-Agent and Server; "": neither is sent
	PreloadedRoute bool         // Route to the server in use in requests outside dialogs
	Allow          []sip.Method // methods in Allow; nil: INVITE, ACK, CANCEL, BYE, OPTIONS
	Supported      []string     // option tags in Supported; one in Require that is not here gets 420
	Accept         []string     // body types in Accept; nil: application/sdp
	ExtraHeaders   []sip.Field  // added to every request and response

	Policy digest.Policy // algorithms and choices of digest

	// Credentials is asked for each challenge that is to be answered, on a
	// goroutine of its own and without the lock, so it may block; ctx ends with
	// the request or the core. nil: no challenge is answered.
	Credentials func(ctx context.Context, ch digest.Challenge) (digest.Credentials, error)

	// Token is asked for a token (digest.Verbatim, digest.Bearer) to send
	// unasked in requests marked Preemptive, in the same way. nil: none.
	Token func(ctx context.Context) (digest.Credentials, error)

	// Realm is the only realm answered; "": those that a REGISTER proved, and
	// before any did the first that challenges a request of ours and accepts it.
	Realm string

	// AnswerChallengesInIncomingDialogs answers challenges also inside dialogs
	// that the far side opened. Any caller can then have our digest for a realm
	// and a nonce of its choice: a leak.
	AnswerChallengesInIncomingDialogs bool

	AcceptAnyUser bool // initial requests are ours whatever user they name; else 404

	T1              time.Duration // RTT estimate; 0: 500 ms (RFC 3261 §17.1.1.1)
	RecoveryLimit   time.Duration // how long requests wait for a flow and INVITEs outlive theirs; 0: 32 s
	MaxTransactions int           // inbound requests without a final response; 0: 1,000
	MaxDialogs      int           // dialogs beyond which initial requests are refused; 0: 1,000
	MaxTimeouts     int           // client transactions in a row that time out, nothing coming in, before their server is asked by OPTIONS; 0: 2, negative: any number

	// OptionsInterval is how long nothing has to come in over a flow before the
	// server is asked by OPTIONS; 0: never. OptionsTimeout is how long anything may
	// take to come in then before the flow is failed; 0: 4 s. A server that has never
	// answered an OPTIONS is left for that once. OptionsURI is who is asked: the
	// registrar.
	OptionsInterval, OptionsTimeout time.Duration
	OptionsURI                      sip.URI

	// RoundTrip, if set, is told how long the answer to an OPTIONS of OptionsInterval
	// took.
	// Called locked.
	RoundTrip func(f Flow, d time.Duration)

	// FailFlow ends a flow whose server says no SIP; err is an [*UnansweredError].
	// FlowDown follows, from elsewhere. Called locked. nil: none is ended.
	FailFlow func(f Flow, err error)

	Logger *slog.Logger // nil: no logs

	// Trace sees every message, in order, with the lock held: it must not block
	// nor call back. nil: none.
	Trace func(TraceEvent)
}

const (
	defaultTransactions = 1000
	defaultDialogs      = 1000
	defaultTimeouts     = 2
	defaultOptions      = 4 * time.Second
)

func (o Options) withDefaults() Options {
	if o.ViaHost == "" {
		var b [6]byte
		_, _ = rand.Read(b[:]) // never fails
		o.ViaHost = hex.EncodeToString(b[:]) + ".invalid"
	}
	if o.Allow == nil {
		o.Allow = []sip.Method{sip.INVITE, sip.ACK, sip.CANCEL, sip.BYE, sip.OPTIONS}
	}
	if o.Accept == nil {
		o.Accept = []string{"application/sdp"}
	}
	if o.T1 <= 0 {
		o.T1 = transaction.DefaultT1
	}
	if o.RecoveryLimit <= 0 {
		o.RecoveryLimit = transaction.DefaultRecoveryLimit
	}
	if o.MaxTransactions <= 0 {
		o.MaxTransactions = defaultTransactions
	}
	if o.MaxDialogs <= 0 {
		o.MaxDialogs = defaultDialogs
	}
	if o.MaxTimeouts == 0 {
		o.MaxTimeouts = defaultTimeouts
	}
	if o.OptionsTimeout <= 0 {
		o.OptionsTimeout = defaultOptions
	}
	return o
}

package core

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// Bounds of one request against servers that are never satisfied.
const (
	realmRounds   = 2
	requestRounds = 4
)

// authorization is what one Outgoing knows of the challenges to it.
type authorization struct {
	answers []answer
	rounds  int
	token   digest.Credentials // to send unasked
	carried bool               // the newest attempt has credentials

	asking context.CancelFunc // while credentials are asked for
}

// answer is one realm's newest challenge and the credentials for it. All are
// answered again with each attempt, or the one satisfied would ask again.
type answer struct {
	server      string
	challenge   digest.Challenge
	credentials digest.Credentials
	rounds      int
	fresh       bool // the newest attempt is the first to answer this nonce
}

func (a *authorization) find(realm string, proxy bool) *answer {
	for i := range a.answers {
		if a.answers[i].challenge.Realm == realm && a.answers[i].challenge.Proxy == proxy {
			return &a.answers[i]
		}
	}
	return nil
}

// put adds an answer, in place of an older one of its realm.
func (a *authorization) put(n answer) {
	old := a.find(n.challenge.Realm, n.challenge.Proxy)
	if old == nil {
		a.answers = append(a.answers, n)
		return
	}
	n.rounds = old.rounds + 1
	*old = n
}

func (a *authorization) stopAsking() {
	if a.asking != nil {
		a.asking()
		a.asking = nil
	}
}

// challenged starts answering a 401 or 407; false: it is the final response. A
// request that was to be canceled is not sent again.
//
// RFC 3261 §22.2, §22.3.
func (o *Outgoing) challenged(res *sip.Response) bool {
	code := res.StatusCode()
	if code != sip.StatusUnauthorized && code != sip.StatusProxyAuthenticationRequired || o.abandoned {
		return false
	}
	if o.cancel.wanted {
		o.fail(context.Canceled)
		return true
	}
	todo, chosen := o.answerable(res)
	if len(chosen) == 0 {
		return false
	}
	o.auth.rounds++
	ask := asker{core: o.core, offered: todo, credentials: o.core.o.Credentials, token: o.core.o.Token}
	server := o.link.Server
	o.ask(func(ctx context.Context) (func(), error) {
		answers, err := ask.all(ctx, chosen)
		return func() {
			if len(answers) == 0 { // none that fit: the challenge is the answer
				o.judge(res)
				o.phase = over
				o.respond(res)
				return
			}
			o.again(server, answers)
		}, err
	})
	return true
}

// ask runs fn, which may call the application, without the lock. What fn returns
// runs with it, unless o has ended meanwhile; an error ends o.
func (o *Outgoing) ask(fn func(ctx context.Context) (then func(), err error)) {
	ctx, cancel := context.WithCancel(context.Background()) // Close ends it, too
	o.park(asking)
	o.auth.asking = cancel
	round := o.auth.rounds
	go func() { // not Go: Wait does not wait for the application
		defer cancel()
		then, err := fn(ctx)
		o.core.mu.Lock()
		defer o.core.mu.Unlock()
		if o.phase != asking || o.auth.rounds != round {
			return
		}
		o.unpark()
		if err != nil {
			o.fail(err)
			return
		}
		then()
	}()
}

// wantsToken reports whether a token has to be asked for before o leaves.
func (o *Outgoing) wantsToken() bool {
	return o.core.o.Token != nil && o.auth.token.IsZero() && o.try == nil && o.preemptive()
}

func (o *Outgoing) askToken() {
	token := o.core.o.Token
	o.ask(func(ctx context.Context) (func(), error) {
		t, err := token(ctx)
		return func() {
			if !t.IsToken() {
				o.fail(digest.ErrCredentials)
				return
			}
			o.auth.token = t
			o.leave()
		}, err
	})
}

// answerable returns the challenges of res that may be answered, and among them
// those to answer: one of each realm.
func (o *Outgoing) answerable(res *sip.Response) (todo, chosen []digest.Challenge) {
	c := o.core
	if c.o.Credentials == nil && c.o.Token == nil || o.auth.rounds >= requestRounds {
		return nil, nil
	}
	for _, ch := range digest.Challenges(res) {
		switch {
		case !o.trusts(ch):
			c.log(slog.LevelWarn, "challenge of a foreign realm not answered", slog.String("realm", ch.Realm),
				slog.String("method", string(o.sent.Method())), slog.String("call_id", o.sent.CallID()))
		case !o.refused(ch):
			todo = append(todo, ch)
		}
	}
	if len(todo) == 0 {
		return nil, nil
	}
	chosen, err := c.digest.Choose(todo)
	if err != nil {
		c.log(slog.LevelWarn, "challenge not answered", slog.Any("error", err),
			slog.String("method", string(o.sent.Method())), slog.String("call_id", o.sent.CallID()))
	}
	return todo, chosen
}

// refused reports whether ch says that our credentials are wrong: it comes in
// answer to them and does not say that the nonce was stale. Credentials that went
// with an older nonce may have been right.
func (o *Outgoing) refused(ch digest.Challenge) bool {
	if a := o.auth.find(ch.Realm, ch.Proxy); a != nil {
		if a.rounds >= realmRounds {
			return true
		}
		if a.fresh && !ch.Stale {
			return true
		}
	}
	sent, ok := digest.Find(o.sent, ch.Proxy, ch.Realm)
	return ok && sent.Nonce == ch.Nonce && !ch.Stale
}

// asker asks the application for credentials.
type asker struct {
	core        *Core
	offered     []digest.Challenge
	credentials func(ctx context.Context, ch digest.Challenge) (digest.Credentials, error)
	token       func(ctx context.Context) (digest.Credentials, error)
}

func (a *asker) all(ctx context.Context, chosen []digest.Challenge) ([]answer, error) {
	var answers []answer
	for _, ch := range chosen {
		cred, err := a.one(ctx, ch)
		if err != nil {
			return nil, err
		}
		if !cred.IsZero() && !cred.IsToken() && !cred.Fits(ch) {
			// An HA1 may fit another algorithm that the realm offers.
			same := slices.DeleteFunc(slices.Clone(a.offered), func(o digest.Challenge) bool {
				return o.Realm != ch.Realm || o.Proxy != ch.Proxy
			})
			if fit, err := a.core.digest.Choose(same, cred); err == nil {
				ch = fit[0]
			}
		}
		if cred.IsToken() || cred.Fits(ch) {
			answers = append(answers, answer{challenge: ch, credentials: cred, rounds: 1, fresh: true})
		}
	}
	return answers, nil
}

func (a *asker) one(ctx context.Context, ch digest.Challenge) (digest.Credentials, error) {
	if a.token != nil && (a.credentials == nil || isBearer(ch)) {
		return a.token(ctx)
	}
	return a.credentials(ctx, ch)
}

// again sends the request once more, with its owner's next CSeq number.
func (o *Outgoing) again(server string, answers []answer) {
	for i := range o.auth.answers {
		o.auth.answers[i].fresh = false
	}
	for _, a := range answers {
		a.server = server
		o.auth.put(a)
	}
	req := o.sent.Clone()
	if err := o.numbered(req); err != nil {
		o.fail(err)
		return
	}
	o.Request = req
	o.leave()
}

// authorize puts credentials for the chosen flow into the request, unless its
// usage did so itself.
func (o *Outgoing) authorize() error {
	req, server := o.Request, o.link.Server
	if req.HasHeader("Authorization") || req.HasHeader("Proxy-Authorization") {
		if o.try == nil {
			return nil
		}
		req.RemoveHeader("Authorization")
		req.RemoveHeader("Proxy-Authorization")
	}
	o.auth.carried = false
	for _, a := range o.auth.answers {
		if a.server != server {
			continue // a nonce of the server before; this one will ask
		}
		if err := o.carry(o.core.field(a, digest.InputOf(server, req))); err != nil {
			return err
		}
	}
	return o.preempt()
}

// carry adds a field with credentials.
func (o *Outgoing) carry(f sip.Field, err error) error {
	if err != nil {
		return err
	}
	o.auth.carried = true
	return o.Request.AddHeader(f.Name, f.Value)
}

func isBearer(ch digest.Challenge) bool { return strings.EqualFold(ch.Scheme, "Bearer") }

func (c *Core) field(a answer, in digest.Input) (sip.Field, error) {
	if a.credentials.IsToken() {
		return a.credentials.Field(a.challenge.Proxy)
	}
	return c.digest.Authorize(a.challenge, a.credentials, in)
}

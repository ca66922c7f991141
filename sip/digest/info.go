package digest

import (
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// Info is the value of an Authentication-Info or Proxy-Authentication-Info header field (RFC 7616 §3.5, RFC 7615,
// RFC 3261 §20.6). Strings are unquoted.
type Info struct {
	NextNonce string // for the client's next request; "" for none
	QOP       string
	RspAuth   string // the server's own proof; "" for none
	CNonce    string
	NC        uint32
}

// ParseInfo reads an Authentication-Info value. The error is a *sip.ParseError.
func ParseInfo(value string) (Info, error) {
	sc := &scanner{field: "ainfo", s: value}
	if err := sc.checkControls(); err != nil {
		return Info{}, err
	}
	ps, err := sc.params()
	if err == nil && !sc.done() {
		err = sc.fail("'=' expected")
	}
	if err != nil {
		return Info{}, err
	}
	var in Info
	for _, p := range ps {
		switch strings.ToLower(p.name) {
		case "nextnonce":
			in.NextNonce = p.value
		case "qop":
			in.QOP = p.value
		case "rspauth":
			in.RspAuth = p.value
		case "cnonce":
			in.CNonce = p.value
		case "nc":
			n, ok := parseCount(p.value)
			if !ok {
				return Info{}, sc.fail("nc is not eight hexadecimal digits")
			}
			in.NC = n
		}
	}
	return in, nil
}

// String is the header field value, each parameter quoted or not as RFC 7616 §3.5 demands.
func (i Info) String() string {
	var w writer
	if i.NextNonce != "" {
		w.quoted("nextnonce", i.NextNonce)
	}
	if i.QOP != "" {
		w.token("qop", i.QOP)
	}
	if i.RspAuth != "" {
		w.quoted("rspauth", i.RspAuth)
	}
	if i.CNonce != "" {
		w.quoted("cnonce", i.CNonce)
	}
	if i.NC != 0 {
		w.token("nc", formatCount(i.NC))
	}
	return w.b.String()
}

// Field is the header field that carries i: Authentication-Info, for a proxy Proxy-Authentication-Info.
func (i Info) Field(proxy bool) sip.Field { return sip.Field{Name: infoName(proxy), Value: i.String()} }

func infoName(proxy bool) string {
	if proxy {
		return "Proxy-Authentication-Info"
	}
	return "Authentication-Info"
}

// Prove is the server's proof that it knows the secret too (rspauth), for the response to a request that carried a.
// Body is that of the response. The error is ErrCredentials if cred cannot be those of a.
func (a Authorization) Prove(cred Credentials, body []byte) (Info, error) {
	ch := Challenge{Realm: a.Realm, Algorithm: a.Algorithm}
	if !cred.Fits(ch) || cred.IsToken() {
		return Info{}, ErrCredentials
	}
	i := Info{RspAuth: a.proof(cred.ha1(&ch), Input{Body: body}).digest()}
	if a.QOP != "" {
		i.QOP, i.CNonce, i.NC = a.QOP, a.CNonce, a.NC
	}
	return i, nil
}

// Verify is the client's side of Prove: it checks that the sender of i knows the secret of cred, where a is what the
// request carried and body the response's. The error is or wraps ErrMismatch (no proof, or one for another request),
// ErrResponse (the sender does not know the secret) or ErrCredentials.
func (i Info) Verify(a Authorization, cred Credentials, body []byte) error {
	want, err := a.Prove(cred, body)
	switch {
	case err != nil:
		return err
	case i.RspAuth == "":
		return fmt.Errorf("%w: no rspauth", ErrMismatch)
	case a.QOP != "" && (i.CNonce != a.CNonce || i.NC != a.NC):
		return fmt.Errorf("%w: cnonce or nc", ErrMismatch)
	case i.QOP != want.QOP:
		return fmt.Errorf("%w: qop", ErrMismatch)
	case subtle.ConstantTimeCompare([]byte(want.RspAuth), []byte(i.RspAuth)) != 1:
		return ErrResponse
	}
	return nil
}

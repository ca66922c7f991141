package sip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrSIPS says that a sips: URI was given where the library does not take one: it cannot promise the
// TLS on every hop that RFC 5630 asks for.
var ErrSIPS = errors.New("sip: sips URIs are not supported as a target")

// TargetError says why a text is no target.
type TargetError struct {
	Target string // shortened
	Reason string
	Err    error // ErrSIPS or a *ParseError; may be nil
}

func (e *TargetError) Error() string {
	return fmt.Sprintf("sip: target %q: %s", e.Target, e.Reason)
}

// Unwrap is the cause.
func (e *TargetError) Unwrap() error { return e.Err }

// NormalizeTarget turns what people type into a URI:
//
//	bob                    sip:bob@DOMAIN
//	bob@example.org        sip:bob@example.org
//	+1 (555) 123-4567      sip:+15551234567@DOMAIN;user=phone
//	tel:+1-555-123-4567    the same, or the tel URI as given with keepTel
//	sip:bob@example.org    as given
//
// DOMAIN is host and port of domain. Of several "@" the last one separates the host. sips: is refused with an
// error that is [ErrSIPS]; every error is a *[TargetError].
func NormalizeTarget(target string, domain URI, keepTel bool) (URI, error) {
	text := strings.TrimSpace(target)
	fail := func(reason string, err error) (URI, error) {
		return URI{}, &TargetError{shorten(target), reason, err}
	}
	if text == "" {
		return fail("empty", nil)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return fail("control character", nil)
	}
	scheme, rest, _ := strings.Cut(text, ":")
	switch lower(scheme) {
	case "sips":
		return fail("sips is not supported", ErrSIPS)
	case "tel":
		return normalizeTel(rest, domain, keepTel, fail)
	case "sip":
		u, err := ParseURI("sip:" + escapeExtraAt(strings.TrimSpace(rest)))
		if err != nil {
			return fail("not a SIP URI", err)
		}
		return u, nil
	}
	user, host := text, ""
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		user, host = text[:at], text[at+1:]
	}
	if strings.Contains(user, ":") {
		return fail("neither a SIP address nor a telephone number", nil)
	}
	if host != "" {
		u, err := ParseURI("sip:" + EscapeUser(user) + "@" + host)
		if err != nil {
			return fail("not an address", err)
		}
		return u, nil
	}
	if strings.HasSuffix(text, "@") || user == "" {
		return fail("not an address", nil)
	}
	if number, ok := dialled(user); ok {
		return domainURI(number, domain).WithParam("user", "phone"), nil
	}
	return domainURI(EscapeUser(user), domain), nil
}

// normalizeTel turns a tel URI into a SIP URI of our domain, as RFC 3261 §19.1.6 does, visual separators
// removed.
func normalizeTel(text string, domain URI, keep bool, fail func(string, error) (URI, error)) (URI, error) {
	text = strings.ReplaceAll(text, " ", "")
	u, err := ParseURI("tel:" + text)
	if err != nil {
		return fail("not a telephone number", err)
	}
	if keep {
		return u, nil
	}
	number := stripSeparators(u.User)
	if number == "" || number == "+" {
		return fail("no digits", nil)
	}
	user := lower(EscapeUser(number) + subscriberParams(u.Params))
	return domainURI(user, domain).WithParam("user", "phone"), nil
}

// subscriberParams are the parameters of a tel URI as part of a SIP URI's user: they belong to the number.
// They are put in the order of RFC 3261 §19.1.6, so that equal numbers make equal users.
func subscriberParams(p Params) string {
	var list []string
	for name, value := range p.All() {
		item := ";" + EscapeUser(name)
		if value != "" {
			item += "=" + escapeTo(value, charUser)
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b string) int {
		if d := telOrder(a) - telOrder(b); d != 0 {
			return d
		}
		return strings.Compare(lower(a), lower(b))
	})
	return strings.Join(list, "")
}

func telOrder(param string) int {
	switch name, _, _ := strings.Cut(lower(param), "="); name {
	case ";isub":
		return 0
	case ";postd":
		return 1
	}
	return 2
}

func domainURI(user string, domain URI) URI {
	return URI{Scheme: "sip", User: user, Host: domain.Host, Port: domain.Port}
}

// dialled reads a number as people write it: digits, a leading plus, and separators between.
func dialled(s string) (number string, ok bool) {
	number = stripSeparators(s)
	return number, isNumber(strings.TrimPrefix(number, "+"))
}

// stripSeparators takes the visual separators of RFC 3966 §3, and blanks, out of a number.
func stripSeparators(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-.() \t\u00a0", r) {
			return -1
		}
		return r
	}, s)
}

// escapeExtraAt escapes all "@" of a typed URI but the last.
func escapeExtraAt(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || strings.IndexByte(s, '@') == at {
		return s
	}
	return strings.ReplaceAll(s[:at], "@", "%40") + s[at:]
}

package sip

// Request is a SIP request (RFC 3261 §7.1).
type Request struct {
	message

	method Method
	target string // the Request-URI as written, "" for the zero URI
}

// NewRequest makes a request without header fields. A method that is no token and a URI with hostile text are
// made harmless.
func NewRequest(method Method, uri URI) *Request {
	r := new(struct { // one allocation: most requests that we make have no more fields
		Request
		room [14]field
	})
	r.method, r.target, r.fields = method, uri.String(), r.room[:0]
	return &r.Request
}

// Method is the request's method.
func (r *Request) Method() Method { return r.method }

// SetMethod changes the method, here only: the CSeq is a field of its own. What is no token is refused.
func (r *Request) SetMethod(m Method) error {
	if !isToken(string(m)) {
		return &FieldError{"method", "not a method"}
	}
	r.method = m
	return nil
}

// URI is the Request-URI.
func (r *Request) URI() URI {
	var u URI
	if !u.parse(r.target).ok() {
		return URI{}
	}
	return u
}

// URIText is the Request-URI as it is written on the wire, which is what a digest covers.
func (r *Request) URIText() string { return r.target }

// SetURI changes the Request-URI. CR, LF and NUL are refused.
func (r *Request) SetURI(u URI) error {
	n := NameAddr{URI: u}
	if err := n.check("Request-URI"); err != nil {
		return err
	}
	r.target = u.String()
	return nil
}

// Version is the SIP version: "SIP/2.0".
func (r *Request) Version() string { return r.versionText() }

// Clone is an independent copy; the texts and the body, which nobody changes, are shared.
func (r *Request) Clone() *Request {
	c := *r
	c.message = r.clone()
	return &c
}

func (*Request) isMessage() {}

// GoString is String: the %#v verb must not show credentials either.
func (r *Request) GoString() string { return r.String() }

package sip

// Request is a SIP request (RFC 3261 §7.1).
type Request struct {
	message

	method Method
	uri    URI
	target string // the Request-URI as it was parsed; "" once it is set
}

// NewRequest makes a request without header fields. A method that is no token and a URI with hostile text are
// made harmless when written.
func NewRequest(method Method, uri URI) *Request {
	return &Request{message: message{fields: make([]field, 0, 16)}, method: method, uri: uri}
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
func (r *Request) URI() URI { return r.uri }

// SetURI changes the Request-URI. CR, LF and NUL are refused.
func (r *Request) SetURI(u URI) error {
	n := NameAddr{URI: u}
	if err := n.check("Request-URI"); err != nil {
		return err
	}
	r.uri, r.target = u, ""
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

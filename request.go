package sipua

import (
	"context"
	"errors"

	"github.com/gosipua/sipua/sip"
)

// MessageOptions shape a MESSAGE. Nil means all defaults.
type MessageOptions struct {
	// ContentType is the type of the body. Default "text/plain;charset=UTF-8".
	ContentType string
	// Headers are added to the request.
	Headers []sip.Field
}

// RequestOptions shape a request outside calls. Nil means all defaults.
type RequestOptions struct {
	// Headers are added to the request.
	Headers []sip.Field
}

// SendMessage sends an instant message (RFC 3428) to target, which is
// what Call takes, and returns nil once the far end, or a server for it, has
// taken it. A refusal is a [*sip.ResponseError].
func (ua *UA) SendMessage(ctx context.Context, target, body string, o *MessageOptions) error {
	if o == nil {
		o = &MessageOptions{}
	}
	req, err := ua.request(sip.MESSAGE, target, o.Headers)
	if err != nil {
		return err
	}
	contentType := o.ContentType
	if contentType == "" {
		contentType = "text/plain;charset=UTF-8"
	}
	if err := req.SetBody(contentType, []byte(body)); err != nil {
		return err
	}
	_, err = ua.core.Do(ctx, req)
	return err
}

// SendOptions asks target, which is what Call takes, what it can do
// (RFC 3261 §11) and returns its 2xx. A refusal is a [*sip.ResponseError].
func (ua *UA) SendOptions(ctx context.Context, target string, o *RequestOptions) (*sip.Response, error) {
	if o == nil {
		o = &RequestOptions{}
	}
	req, err := ua.request(sip.OPTIONS, target, o.Headers)
	if err != nil {
		return nil, err
	}
	if err := req.SetHeader("Accept", "application/sdp"); err != nil {
		return nil, err
	}
	return ua.core.Do(ctx, req)
}

// Do sends a request of any method but INVITE, ACK and CANCEL outside calls and
// returns the 2xx to it; any other final response is a [*sip.ResponseError].
// What req lacks of identity, routes, Call-ID, CSeq and the like is filled in,
// challenges are answered, and with no connection up Do waits for one as long
// as ctx. req belongs to the UA from then on.
func (ua *UA) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	switch req.Method() {
	case sip.INVITE, sip.ACK, sip.CANCEL:
		return nil, errors.New("sipua: Do does not send " + string(req.Method()))
	}
	return ua.core.Do(ctx, req)
}

// request starts a request to target.
func (ua *UA) request(method sip.Method, target string, fields []sip.Field) (*sip.Request, error) {
	uri, err := sip.NormalizeTarget(target, ua.domain, ua.keepTel)
	if err != nil {
		return nil, err
	}
	req := sip.NewRequest(method, uri)
	err = req.SetTo(sip.NameAddr{URI: uri})
	for _, f := range fields {
		err = errors.Join(err, req.AddHeader(f.Name, f.Value))
	}
	return req, err
}

package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// ErrInfoPackage is returned by SendInfo for an Info Package that the far end
// has not said it takes (RFC 6086 §4.2.1).
var ErrInfoPackage = errors.New("session: far end does not take this Info Package")

// InfoOptions shape an INFO request. Nil means all defaults.
type InfoOptions struct {
	// Package is the Info Package that the request belongs to (RFC 6086 §4.2.1),
	// with its parameters, if any: "foo;key=value". Empty means none, as before
	// that RFC.
	Package string
	// Disposition is the Content-Disposition of the body; empty means
	// Info-Package where there is a Package, and none otherwise (RFC 6086 §4.3.1).
	Disposition string
	// Headers are added to the request.
	Headers []sip.Field
}

// SendInfo sends an INFO request inside the call (RFC 6086), early dialogs
// included, and waits for its answer. Without a body contentType is of no
// account. A Package that the far end does not take is ErrInfoPackage; for other
// errors see Do.
func (s *Session) SendInfo(ctx context.Context, contentType string, body []byte, o *InfoOptions) error {
	if o == nil {
		o = &InfoOptions{}
	}
	req, err := infoRequest(contentType, body, o)
	if err != nil {
		return err
	}
	if o.Package != "" {
		name := packageName(o.Package)
		if takes, _ := s.RemoteInfoPackages(); !slices.Contains(takes, name) {
			return fmt.Errorf("%w: %s", ErrInfoPackage, name)
		}
	}
	_, err = s.Do(ctx, req)
	return err
}

func infoRequest(contentType string, body []byte, o *InfoOptions) (*sip.Request, error) {
	req := sip.NewRequest(sip.INFO, sip.URI{})
	var err error
	disposition := o.Disposition
	if o.Package != "" {
		err = req.AddHeader("Info-Package", o.Package)
		if disposition == "" {
			disposition = "Info-Package"
		}
	}
	if len(body) > 0 {
		err = errors.Join(err, req.SetBody(contentType, body))
		if disposition != "" {
			err = errors.Join(err, req.AddHeader("Content-Disposition", disposition))
		}
	}
	for _, f := range o.Headers {
		err = errors.Join(err, req.AddHeader(f.Name, f.Value))
	}
	return req, err
}

// RemoteInfoPackages has the Info Packages that the far end takes. False: it has
// not said so, as one that does not know of them (RFC 6086 §5.2.2).
func (s *Session) RemoteInfoPackages() ([]string, bool) {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return slices.Clone(s.leg.packages), s.leg.packages != nil
}

// packageName is an Info-Package value without its parameters.
func packageName(value string) string {
	name, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(name)
}

// checkPackages refuses what cannot be an Info Package's name.
func checkPackages(names []string) error {
	for _, name := range names {
		if err := (&sip.Request{}).SetMethod(sip.Method(name)); err != nil { // a token, too
			return &sip.FieldError{Field: "Recv-Info", Reason: fmt.Sprintf("%q is no Info Package", name)}
		}
	}
	return nil
}

// setPackages says which Info Packages we take: own, or the UA's where that is
// nil.
func (s *Session) setPackages(own []string) { // [locked]
	if own == nil {
		own = s.m.o.InfoPackages
	}
	s.packages = slices.Clone(own)
}

// addPackages tells them in an INVITE of ours (RFC 6086 §5.2.3).
func (s *Session) addPackages(req *sip.Request) { // [locked]
	f := s.recvInfo()
	s.logError("Recv-Info", req.SetHeader(f.Name, f.Value))
}

// recvInfo says which Info Packages we take, if only that it is none.
func (s *Session) recvInfo() sip.Field { // [locked]
	return sip.Field{Name: "Recv-Info", Value: strings.Join(s.packages, ", ")}
}

// learnPackages takes over which Info Packages the far end takes: what an
// accepted request or the response to one of ours says (RFC 6086 §5.2.3). One
// that says nothing changes nothing.
func (l *leg) learnPackages(m interface {
	HasHeader(string) bool
	List(string) []string
}) { // [locked]
	if !m.HasHeader("Recv-Info") {
		return
	}
	l.packages = []string{}
	for _, value := range m.List("Recv-Info") {
		if name := packageName(value); name != "" {
			l.packages = append(l.packages, name)
		}
	}
}

// answerPackages gives the 2xx to a request of the peer's the Info Packages
// that are ours, where it tells its own.
func (l *leg) answerPackages(req *sip.Request, res *sip.Response) { // [locked]
	if !req.HasHeader("Recv-Info") {
		return
	}
	f := l.s.recvInfo()
	l.s.logError("Recv-Info", res.SetHeader(f.Name, f.Value))
}

// receiveInfo takes an INFO request: a digit, or the application's business
// (RFC 6086 §4.2.2).
func (l *leg) receiveInfo(in *core.Incoming) { // [locked]
	s, req := l.s, in.Request()
	if req.HasHeader("Info-Package") {
		if !slices.Contains(s.packages, packageName(req.Header("Info-Package"))) {
			in.Reply(sip.StatusBadInfoPackage, "", s.recvInfo())
			return
		}
	} else if isDigit(req) {
		s.receiveDigit(in)
		return
	}
	if s.handler.Info == nil && len(req.Body()) == 0 { // nothing that could be misunderstood
		in.Reply(sip.StatusOK, "")
		return
	}
	s.ask(in, s.handler.Info, sip.StatusUnsupportedMediaType, sip.Field{Name: "Accept", Value: dtmfTypes})
}

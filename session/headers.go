package session

import (
	"errors"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// ownFields are written by the library alone: what an application gave for
// them would break the message or the dialog.
var ownFields = []string{"Via", "From", "To", "Call-ID", "CSeq", "Route", "Record-Route", "Content-Type", "Content-Length"}

// checkFields refuses what a setter refuses, and fields that are not the
// application's to write, before anything happens.
func checkFields(reason string, fields []sip.Field) error {
	probe := &sip.Response{}
	err := probe.SetStatus(sip.StatusOK, reason)
	for _, f := range fields {
		if slices.Contains(ownFields, sip.CanonicalName(f.Name)) {
			err = errors.Join(err, &sip.FieldError{Field: f.Name, Reason: "written by the library"})
			continue
		}
		err = errors.Join(err, probe.AddHeader(f.Name, f.Value))
	}
	return err
}

// splitTarget takes the header fields out of a URI that is to be a Request-URI,
// where neither they nor a method may stand, and returns those of them that do
// no more than inform. Whoever wrote the address must not choose who we say we
// are, where the request goes, what it asks for or what we say that we can do
// (RFC 3261 §19.1.5).
func splitTarget(u sip.URI) (sip.URI, []sip.Field) {
	var fields []sip.Field
	for name, value := range u.HeaderFields() {
		f := sip.Field{Name: sip.CanonicalName(name), Value: value}
		single := f.Name == "Subject" || f.Name == "Priority"
		again := slices.ContainsFunc(fields, func(g sip.Field) bool { return g.Name == f.Name })
		if informs(f.Name) && !(single && again) && checkFields("", []sip.Field{f}) == nil {
			fields = append(fields, f)
		}
	}
	u.Headers = ""
	if u.Params.Has("method") {
		u = u.WithoutParam("method")
	}
	return u, fields
}

// informs reports whether a field tells the callee something about the call and
// has no effect on where it goes or who makes it.
func informs(name string) bool {
	switch name {
	case "Subject", "Priority", "Call-Info", "Alert-Info", "In-Reply-To", "User-to-User", "Diversion", "History-Info", "Reason",
		"Accept-Contact", "Reject-Contact", "Request-Disposition":
		return true
	}
	return len(name) > 2 && strings.EqualFold(name[:2], "X-")
}

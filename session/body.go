package session

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"

	"github.com/gosipua/sipua/sip"
)

const (
	sdpType     = "application/sdp"
	acceptTypes = sdpType + ", multipart/mixed, multipart/alternative"

	maxParts  = 16 // of a multipart body
	maxNested = 3  // multipart bodies within each other
)

// content is what a message body has for a call (RFC 3261 §7.4, RFC 5621).
type content struct {
	sdp     Description
	has     bool // there is one
	refused bool // it holds something else that must be understood: 415
}

// entity is a message, or a part of a multipart body, as a MIME entity.
type entity interface {
	Header(name string) string
	ContentType() string
	ContentTypeParams() sip.Params
	ContentDisposition() (sip.ContentDisposition, bool)
}

func contentOf(m interface {
	entity
	Body() []byte
}) content {
	if len(m.Body()) == 0 {
		return content{}
	}
	return readEntity(m, m.Body(), 0)
}

func readEntity(e entity, body []byte, depth int) content {
	disposition, _ := e.ContentDisposition()
	kind := e.ContentType()
	c := content{refused: true}
	switch {
	case encoded(e) || depth > maxNested:
	case kind == sdpType && disposition.Type == "session":
		c = content{sdp: Description{ContentType: sdpType, Body: body}, has: true}
	case strings.HasPrefix(kind, "multipart/"):
		c = readMultipart(kind, e.ContentTypeParams().Value("boundary"), body, depth)
	}
	if c.refused && !disposition.Required() {
		return content{}
	}
	return c
}

// encoded reports whether a body is not there as it is.
func encoded(e entity) bool {
	switch strings.ToLower(e.Header("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default:
		return true
	}
	encoding := e.Header("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}

// readMultipart reads the parts of a body: all of them, or of alternatives the
// last that is understood. An unknown subtype counts as multipart/mixed.
func readMultipart(kind, boundary string, body []byte, depth int) content {
	parts, err := split(boundary, body, depth)
	if err != nil {
		return content{refused: true}
	}
	var all content
	if kind == "multipart/alternative" {
		all.refused = true
		for _, c := range parts {
			if !c.refused {
				all = c
			}
		}
		return all
	}
	for _, c := range parts {
		if c.has && !all.has {
			all.sdp, all.has = c.sdp, true
		}
		all.refused = all.refused || c.refused
	}
	return all
}

func split(boundary string, body []byte, depth int) ([]content, error) {
	if boundary == "" {
		return nil, errors.New("no boundary")
	}
	var parts []content
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := r.NextRawPart()
		switch {
		case err == io.EOF:
			return parts, nil
		case err != nil:
			return nil, err
		case len(parts) == maxParts:
			return nil, errors.New("too many parts")
		}
		e := &sip.Response{} // for its fields, which are written like a message's
		for name, values := range part.Header {
			if err := e.SetHeader(name, values[0]); err != nil {
				return nil, err
			}
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		parts = append(parts, readEntity(e, text, depth+1))
	}
}

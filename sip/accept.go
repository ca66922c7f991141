package sip

import "strings"

// Accepts says whether the sender takes a body of that media type ("application/sdp") in an answer, by its
// Accept field (RFC 3261 §20.1). Without one only application/sdp is taken; an empty one takes nothing.
func (m *message) Accepts(mediaType string) bool {
	if !m.has(hAccept) {
		return equalFold(mediaType, "application/sdp")
	}
	kind, _, _ := strings.Cut(mediaType, "/")
	for item := range m.items(hAccept, "") {
		taken, params := cutParams(item)
		taken = removeBlanks(taken)
		if q := params.Value("q"); q != "" && strings.Trim(q, "0.") == "" {
			continue
		}
		if taken == "*/*" || equalFold(taken, mediaType) || equalFold(taken, kind+"/*") {
			return true
		}
	}
	return false
}

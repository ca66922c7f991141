package rtc

import "github.com/gosipua/sipua/session"

// Offered returns what a description of the far end carries of each kind, and
// in which direction, as the far end sees it: what there is to know before an
// offer is accepted ([session.Offer].Description). A kind whose m-line is
// refused is not there. An error says that the description cannot be read.
func Offered(d session.Description) (map[Kind]Direction, error) {
	desc, err := parseDescription(d.Body)
	if err != nil {
		return nil, err
	}
	kinds := map[Kind]Direction{}
	for _, m := range desc.media {
		_, bundled := attr(m.lines, "bundle-only") // has port 0 all the same (RFC 8843 §6)
		for _, k := range allKinds {
			if _, seen := kinds[k]; m.media == k.String() && !seen && (m.port != 0 || bundled) {
				kinds[k] = desc.direction(m)
			}
		}
	}
	return kinds, nil
}

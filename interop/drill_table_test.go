//go:build interop

package interop_test

import (
	"fmt"
	"strings"
	"time"
)

// drillRow is a line of the table: what came of a drill for each subject, nil where it was not held, or not to its end.
type drillRow struct {
	drill       string
	digits      bool
	ours, jssip *drillResult
}

// drillTable is the table of README.md.
func drillTable(rows []drillRow) string {
	var out strings.Builder
	out.WriteString("| drill | | calls lost | noticed | registered again | media gap | BYE to the peers | BYE to the subject |\n" +
		"|---|---|---|---|---|---|---|---|\n")
	for _, row := range rows {
		name := row.drill
		for _, r := range []struct {
			subject string
			result  *drillResult
		}{{"sipua", row.ours}, {"JsSIP", row.jssip}} {
			if r.result != nil {
				fmt.Fprintf(&out, "| %s | %s | %s |\n", name, r.subject, r.result.cells(row.digits))
				name = ""
			}
		}
	}
	return out.String()
}

func (r *drillResult) cells(digits bool) string {
	lost := fmt.Sprintf("%d of %d", r.lost, r.calls)
	if digits {
		lost += fmt.Sprintf("; %d digits by INFO arrived", r.digits)
	}
	if r.degraded > 0 {
		lost += fmt.Sprintf("; %d degraded", r.degraded)
	}
	return fmt.Sprintf("%s | %s | %s | %s | %d of %d | %d of %d",
		lost, when(r.noticed), when(r.registered), when(r.gap), r.near, r.hungNear, r.far, r.hungFar)
}

func when(d time.Duration) string {
	if d == never {
		return "–"
	}
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

//go:build !race

package transport_test

import "testing"

// A round trip allocates what gorilla does for a frame each way, and nothing of ours:
// gorilla makes a writer, boxes its pooled buffer, and makes a reader.
func TestRoundTripAllocations(t *testing.T) {
	const gorilla = 3
	trip := inTurn(t, rawEcho(t))
	for range 100 {
		trip()
	}
	if n := testing.AllocsPerRun(2000, trip); n > gorilla {
		t.Errorf("%v allocations in a round trip, want at most %d", n, gorilla)
	}
}

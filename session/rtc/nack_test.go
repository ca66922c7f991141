package rtc

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/vnet"
)

// TestLostVideo: a packet of video that is lost on the way is asked for and
// comes again, also where the call began without video.
func TestLostVideo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb := n.host("10.0.0.1"), n.host("10.0.0.2")
		var lose atomic.Bool
		n.router.AddChunkFilter(func(c vnet.Chunk) bool {
			return len(c.UserData()) < 500 || !strings.HasPrefix(c.SourceAddr().String(), "10.0.0.1:") || !lose.Swap(false)
		})
		n.start()
		a, b := newEnd(t, va, Options{}), newEnd(t, vb, Options{})
		defer b.close()
		defer a.close()
		exchange(t, a, b, false)
		ok[Codec](t)(a.track.Ready(t.Context()))
		camera := NewTrack(Video)
		in := b.media.call.subscribe(t.Context(), Video)
		exchangeWith(t, a, b, with(Change{Add: []Track{camera}}), with(Change{Kinds: []Kind{Video}}))
		ok[Codec](t)(camera.Ready(t.Context()))
		for i := range 10 {
			lose.Store(i == 5)
			if err := camera.WriteSample(Sample{Data: make([]byte, 500), Duration: 40 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if lose.Load() || len(in.packets) != 10 {
			t.Errorf("%d packets of video came, want 10", len(in.packets))
		}
	})
}

package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip/core"
)

func TestTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := core.New(core.Options{})
		ran := 0
		c.Lock()
		begun := time.Now()
		first := c.After(time.Second, func() { ran++ })
		c.After(time.Second, func() { t.Error("a stopped timer ran") }).Stop()
		c.Unlock()
		time.Sleep(time.Second - time.Nanosecond)
		synctest.Wait()
		c.Lock()
		if ran != 0 {
			t.Errorf("ran %v early", time.Second-time.Since(begun))
		}
		c.Unlock()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		c.Lock()
		if ran != 1 || !first.Over() {
			t.Errorf("ran %d times, over %v", ran, first.Over())
		}
		first.Stop()
		(*core.Timer)(nil).Stop()
		c.Unlock()
		c.Close(nil)
		c.Wait()
	})
}

// TestTimerStoppedLate: one that is due waits for the lock when it is stopped;
// it does not run, and Wait waits for it. The lock is a real one, so is the time.
func TestTimerStoppedLate(t *testing.T) {
	c := core.New(core.Options{})
	c.Lock()
	var late *core.Timer
	for range 1000 { // until one has fired before its Stop
		late = c.After(0, func() { t.Error("a stopped timer ran") })
		late.Stop()
	}
	c.Unlock()
	c.Close(nil)
	c.Wait()
}

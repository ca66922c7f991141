package siptest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip/siptest"
)

func TestWireCarriesBytesBothWays(t *testing.T) {
	a, b := siptest.Pipe()
	// Both write before either reads: net.Pipe would deadlock here.
	for _, w := range []*siptest.Wire{a, b} {
		if _, err := w.Write([]byte("hello from " + w.LocalAddr().String())); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 64)
	n, err := b.Read(buf)
	if err != nil || string(buf[:n]) != "hello from left" {
		t.Fatalf("Read = %q, %v", buf[:n], err)
	}
	a.Close()
	if _, err := b.Read(buf); err != io.EOF {
		t.Errorf("Read after the other end closed = %v, want EOF", err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write after the other end closed = %v, want EPIPE", err)
	}
	if _, err := a.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close = %v, want net.ErrClosed", err)
	}
	if _, err := a.Write(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close = %v, want net.ErrClosed", err)
	}
}

func TestWireBlocksWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := siptest.Pipe()
		big := bytes.Repeat([]byte("x"), 100<<10)
		wrote := make(chan int, 1)
		go func() {
			n, err := a.Write(big)
			if err != nil {
				t.Error(err)
			}
			wrote <- n
		}()
		synctest.Wait() // the writer blocks durably
		select {
		case <-wrote:
			t.Fatal("100 KiB went into a buffer of 64")
		default:
		}
		got, err := io.ReadAll(io.LimitReader(b, int64(len(big))))
		if err != nil || !bytes.Equal(got, big) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		if n := <-wrote; n != len(big) {
			t.Errorf("Write = %d", n)
		}
	})
}

func TestWireDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := siptest.Pipe()
		start := time.Now()
		a.SetReadDeadline(start.Add(3 * time.Second))
		_, err := a.Read(make([]byte, 1))
		var nerr net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &nerr) || !nerr.Timeout() {
			t.Errorf("Read = %v, want a timeout", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("Read ended after %v", d)
		}
		a.SetDeadline(time.Time{})
		b.Fill()
		start = time.Now()
		a.SetWriteDeadline(start.Add(time.Second))
		if n, err := a.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write into a full buffer = %d, %v", n, err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("Write ended after %v", d)
		}
		// A deadline in the past ends a blocked read at once.
		a.SetDeadline(time.Time{})
		done := make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); done <- err }()
		synctest.Wait()
		a.SetReadDeadline(time.Unix(1, 0))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("blocked Read = %v", err)
		}
	})
}

func TestWireCommands(t *testing.T) {
	t.Run("stall", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := siptest.Pipe()
			b.Stall()
			a.Write([]byte("held"))
			b.SetReadDeadline(time.Now().Add(time.Second))
			buf := make([]byte, 8)
			if n, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("Read of a stalled end = %q, %v", buf[:n], err)
			}
			b.SetReadDeadline(time.Time{})
			b.Resume()
			if n, err := b.Read(buf); err != nil || string(buf[:n]) != "held" {
				t.Errorf("Read = %q, %v", buf[:n], err)
			}
		})
	})
	t.Run("delay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := siptest.Pipe()
			start := time.Now()
			a.Delay(200 * time.Millisecond)
			a.Write([]byte("late"))
			a.Delay(0)
			a.Write([]byte("later")) // does not overtake
			buf := make([]byte, 9)
			if _, err := io.ReadFull(b, buf); err != nil || string(buf) != "latelater" {
				t.Fatalf("read %q, %v", buf, err)
			}
			if d := time.Since(start); d != 200*time.Millisecond {
				t.Errorf("arrived after %v", d)
			}
		})
	})
	t.Run("cut", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := siptest.Pipe()
			a.Write([]byte("lost"))
			done := make(chan error, 1)
			go func() { _, err := a.Read(make([]byte, 1)); done <- err }()
			synctest.Wait()
			b.Cut()
			if err := <-done; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("blocked Read = %v", err)
			}
			if _, err := b.Read(make([]byte, 8)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Read = %v", err)
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Write = %v", err)
			}
		})
	})
}

package sip_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gosipua/sipua/sip"
)

func TestStatusCode(t *testing.T) {
	for _, tt := range []struct {
		code                                    sip.StatusCode
		text                                    string
		provisional, success, redirect, isFinal bool
	}{
		{100, "100 Trying", true, false, false, false}, {199, "199 Early Dialog Terminated", true, false, false, false},
		{200, "200 OK", false, true, false, true}, {302, "302 Moved Temporarily", false, false, true, true},
		{481, "481 Call/Transaction Does Not Exist", false, false, false, true}, {299, "299", false, true, false, true},
		{608, "608 Rejected", false, false, false, true}, {0, "0", false, false, false, false}, {999, "999", false, false, false, true}, {-5, "-5", false, false, false, false},
	} {
		c := tt.code
		if c.Error() != tt.text || c.IsProvisional() != tt.provisional || c.IsSuccess() != tt.success || c.IsRedirection() != tt.redirect || c.IsFinal() != tt.isFinal {
			t.Errorf("%d: %q %v %v %v %v", int(c), c.Error(), c.IsProvisional(), c.IsSuccess(), c.IsRedirection(), c.IsFinal())
		}
	}
}

func TestResponseError(t *testing.T) {
	req := mustRequest(t, basic(nil, ""))
	busy := sip.NewResponse(req, sip.StatusBusyHere, "Too Busy")
	err := fmt.Errorf("call: %w", &sip.ResponseError{Method: sip.INVITE, Response: busy})
	if !errors.Is(err, sip.StatusBusyHere) || errors.Is(err, sip.StatusDecline) || sip.StatusOf(err) != 486 {
		t.Errorf("%v", err)
	}
	if err.Error() != "call: sip: INVITE: 486 Too Busy" {
		t.Errorf("%q", err)
	}
	if got := (&sip.ResponseError{}); got.Error() != "sip: no response" || got.StatusCode() != 0 || got.Temporary() || got.Is(sip.StatusOK) {
		t.Errorf("%v", got)
	}
	for code, want := range map[sip.StatusCode]bool{486: false, 491: true, 503: true, 500: false} {
		res := sip.NewResponse(req, code, "")
		e := &sip.ResponseError{Response: res}
		if e.Temporary() != want {
			t.Errorf("%d: Temporary = %v", code, e.Temporary())
		}
		if err := res.SetHeader("Retry-After", "5"); err != nil || !e.Temporary() {
			t.Errorf("%d with Retry-After: %v", code, err)
		}
	}
}

func TestTimeoutError(t *testing.T) {
	err := fmt.Errorf("register: %w", &sip.TimeoutError{Timer: "F", Method: sip.REGISTER})
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, sip.StatusRequestTimeout) || errors.Is(err, sip.StatusServerTimeout) {
		t.Errorf("%v", err)
	}
	if err.Error() != "register: sip: REGISTER: no answer in time (timer F)" {
		t.Errorf("%q", err)
	}
}

func TestStatusOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want sip.StatusCode
	}{
		{nil, 0}, {errors.New("x"), 0}, {sip.StatusDecline, 603}, {&sip.TimeoutError{}, 408},
		{errors.Join(errors.New("x"), fmt.Errorf("y: %w", sip.StatusForbidden)), 403},
	} {
		if got := sip.StatusOf(tt.err); got != tt.want {
			t.Errorf("StatusOf(%v) = %d", tt.err, got)
		}
	}
}

func TestRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		for _, s := range []string{sip.NewTag(), sip.NewBranch(), sip.NewCallID()} {
			if seen[s] || len(s) < 16 {
				t.Errorf("%q", s)
			}
			seen[s] = true
		}
	}
	b := sip.NewBranch()
	if b[:len(sip.BranchCookie)] != sip.BranchCookie || len(b) != len(sip.BranchCookie)+24 {
		t.Errorf("branch %q", b)
	}
	r := newRequest(t)
	if err := r.SetCallID(sip.NewCallID()); err != nil {
		t.Error(err)
	}
	if p := sip.Params("").With("tag", sip.NewTag()); p[5] == '"' {
		t.Errorf("the tag is no token: %s", p)
	}
}

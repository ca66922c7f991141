package main

import "testing"

// TestDemo is the program without flags: it ends by itself.
func TestDemo(t *testing.T) {
	if err := demo(t.Context()); err != nil {
		t.Fatal(err)
	}
}

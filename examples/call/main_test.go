package main

import "testing"

// TestDemo is the program: it ends by itself, and where anything fails it takes
// the test along.
func TestDemo(*testing.T) { main() }

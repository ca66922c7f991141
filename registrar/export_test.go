package registrar

// Waiters counts the calls of Register and Unregister that wait.
func (r *Registrar) Waiters() int {
	r.core.Lock()
	defer r.core.Unlock()
	return len(r.wanting) + len(r.leaving)
}

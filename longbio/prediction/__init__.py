"""Documents in, annotations out: windows, forward pass, merge, decode."""

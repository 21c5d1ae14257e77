"""Pure rules of registration: no I/O, no clock, no wire format."""

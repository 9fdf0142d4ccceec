"""How readers are called, by what their modules import: a process that reads pictures needs no torch."""

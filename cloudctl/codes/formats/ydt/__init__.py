"""MAP of YD/T 3709 <-> digital codes."""

"""Live signal messages: what was received, what of it may be believed, and the SPAT formats it comes in."""

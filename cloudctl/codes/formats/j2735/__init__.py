"""MAP of SAE J2735 <-> digital codes."""

"""What importers share: an account of everything that was read, and a code built from lanes and movements."""

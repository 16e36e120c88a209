"""The tracker against truth: made-up scenes, real roadside units, recordings."""

"""The warning bench: how often warnings are right, what they miss, and how early they come."""

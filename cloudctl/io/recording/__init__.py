"""Recordings of runs: MCAP files in parts, written by `writer`, read by `reader`."""

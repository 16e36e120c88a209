"""Runs on disk: MCAP files in parts, written while the node runs and read by replay."""

"""Lanelet2 maps -> digital codes."""

"""OpenDRIVE maps -> digital codes."""

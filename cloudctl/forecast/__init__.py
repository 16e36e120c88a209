"""What is derived from a world and shared by all advisory kinds: predicted paths, leaders, stop-line forecasts."""

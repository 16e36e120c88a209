"""What is derived from a world and shared by all advisory kinds: predicted paths, stop-line forecasts, who follows whom."""

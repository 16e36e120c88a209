"""SUMO networks -> digital codes."""

"""What other tools ask of a node: its metrics for Prometheus, whether it lives, whether it is ready."""

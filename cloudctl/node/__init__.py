"""The running node: its configuration, its event loop, and what an operator changes while it runs."""

"""Other trackers on the same detections: adapters for those on PyPI, a minimal one in C, the scenarios they share."""

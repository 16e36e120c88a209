"""Measurements: each prints a table whose figures are ratios within one run. `make bench`, or `python -m bench NAME
...`."""

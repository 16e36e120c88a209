"""The advisory kinds, one file each. `cloudctl.planner.catalogue` is the table that lists them."""

"""The advisory kinds, one file each. `cloudctl.planner` holds the table that lists them."""

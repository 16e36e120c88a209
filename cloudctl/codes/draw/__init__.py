"""A digital code as a drawing and as a page."""

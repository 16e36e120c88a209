"""The read-only HTTP API: what a node knows and says of each intersection now, as JSON, with an OpenAPI document."""

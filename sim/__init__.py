"""Traffic, sensors, signals, vehicles, scenarios and the demo: SUMO drives the whole loop."""

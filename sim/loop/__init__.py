"""The closed loop: SUMO, sensors, signal controllers and connected vehicles around the node's engine."""

"""SUMO scenarios: networks, demand and signal programmes."""

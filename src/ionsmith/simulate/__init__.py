"""Simulators: values from physics, each one rung of the ladder."""

"""Targets in physical units: feasible or not, score, and why."""

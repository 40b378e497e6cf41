"""Candidates to arrays and, where the map can be inverted, back."""

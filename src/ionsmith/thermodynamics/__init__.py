"""Thermodynamics on the Materials Project scale, usable alone: element references and the reference hull."""

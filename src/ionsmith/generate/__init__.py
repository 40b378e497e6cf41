"""Generators: sources of candidates, from a plain list to learned inverse design."""

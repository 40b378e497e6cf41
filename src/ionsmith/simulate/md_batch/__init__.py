"""CHGNet's energies and forces for many configurations of one crystal at once, in a fraction of the usual time.

The modules here need torch and numba and are imported on demand only.
"""

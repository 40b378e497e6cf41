"""Records, quantities, protocols, errors and the registry; imports numpy, scipy constants and pymatgen only."""

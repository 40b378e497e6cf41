"""Files and services to candidates, ordered approximants of disordered crystals, and the files of a finished run."""

"""Published systems rebuilt from the parts of this package: what was claimed beside what we measure."""

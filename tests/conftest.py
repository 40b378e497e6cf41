"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# no test of ours judges by the clock
settings.register_profile("ionsmith", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ionsmith")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder of the public data sets; tests marked ``mirror`` skip, and say so, where it is absent."""
    folder = os.environ.get("IONSMITH_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("data mirror absent: set IONSMITH_DATA to the folder of the public data sets")
    return Path(folder)

"""Fixtures that every test may use."""

import os
from pathlib import Path

# one thread each: tiny networks on several threads spend their time waiting, by minutes on a busy machine
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# no test of ours judges by the clock
settings.register_profile("ionsmith", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ionsmith")


def _data() -> Path | None:
    folder = os.environ.get("IONSMITH_DATA", "")
    return Path(folder) if folder and Path(folder).is_dir() else None


def pytest_runtest_setup(item):
    if item.get_closest_marker("mirror") and _data() is None:
        pytest.skip("data mirror absent: set IONSMITH_DATA to the folder of the public data sets")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder of the public data sets; tests that use it skip, and say so, where it is absent."""
    folder = _data()
    if folder is None:
        pytest.skip("data mirror absent: set IONSMITH_DATA to the folder of the public data sets")
    return folder

"""Whether a run has forgotten its start: the potential energy must have stopped drifting."""

from __future__ import annotations

import math

import numpy as np

from ionsmith.core.records import FloatArray
from ionsmith.simulate.trajectory import Trajectory

_SHARES = (0.1, 0.2, 0.3, 0.4)
_BLOCKS = 5  # per third of what is left
_LIMIT = 3.0  # standard errors


def equilibrated(run: Trajectory) -> tuple[float, str]:
    """Return from when on a run counts, ps, and a warning where it never settles.

    The first share of the run (10 to 40 per cent) is dropped after which the mean potential energies of the first and
    the last third of the rest agree within three standard errors from block averages, as in Geweke's test
    (doi 10.21034/sr.148). Without energies, as in trajectories from elsewhere, nothing is dropped.

    Args:
        run: with the potential energies of its frames.
    """
    if run.energies is None or not len(run.energies):
        return 0.0, ""
    for share in _SHARES:
        if drift(run.energies[int(share * len(run.energies)) :]) < _LIMIT:
            return share * run.duration, ""
    last = run.energies[int(_SHARES[-1] * len(run.energies)) :]
    return (
        _SHARES[-1] * run.duration,
        f"{run.temperature:g} K: not in equilibrium, its energy still drifts by {drift(last):.1f} standard errors",
    )


def drift(energies: FloatArray) -> float:
    """Difference between the last and the first third of a series, in standard errors of block averages.

    Args:
        energies: any unit; shape (n,).
    """
    third = len(energies) // 3
    if third < _BLOCKS:
        return 0.0
    means, errors = [], []
    for part in (energies[:third], energies[-third:]):
        blocks = np.array([block.mean() for block in np.array_split(part, _BLOCKS)])
        means.append(float(blocks.mean()))
        errors.append(float(blocks.var(ddof=1)) / _BLOCKS)
    return abs(means[1] - means[0]) / math.sqrt(max(sum(errors), 1e-30))

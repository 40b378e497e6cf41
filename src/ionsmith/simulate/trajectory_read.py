"""Trajectories that others computed: ASE, extxyz, XDATCAR and LAMMPS dumps become unwrapped trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.trajectory import Trajectory

_CELL_CHANGE = 0.2  # relative length change up to which a run counts as one crystal


def read_trajectory(
    path: str | Path, *, interval: float, temperature: float, species: Sequence[str] = ()
) -> Trajectory:
    """Read a trajectory and undo the wrapping into the cell.

    Between frames every atom is taken to have moved to the nearest image, so frames must be close enough in time that
    no atom moves half a cell. With a changing cell the fractional steps are summed in the mean cell.

    Args:
        path: an ASE trajectory, extxyz, XDATCAR, LAMMPS text dump, or anything else that ASE reads.
        interval: time between frames, fs.
        temperature: K.
        species: elements of LAMMPS types 1, 2, ... where the dump has no element column.

    Raises:
        InputError: a file that cannot be read, atoms that change from frame to frame, or no cell.
    """
    place = Path(path)
    if not place.is_file():
        raise InputError(f"{place}: expected a trajectory file, got none")
    if not (interval > 0.0 and temperature > 0.0):
        raise InputError(f"{place}: expected interval and temperature above zero, got {interval} fs, {temperature} K")
    frames = _frames(place, species)
    numbers = frames[0].get_atomic_numbers()
    for count, atoms in enumerate(frames):
        if len(atoms) != len(numbers) or (atoms.get_atomic_numbers() != numbers).any():
            raise InputError(f"{place}: frame {count} holds other atoms than the first one")
        if atoms.cell.rank < 3:
            raise InputError(f"{place}: frame {count} has no three-dimensional cell")
    cells = np.array([atoms.cell.array for atoms in frames])
    mean = cells.mean(axis=0)
    if np.abs(np.linalg.norm(cells, axis=2) / np.linalg.norm(mean, axis=1) - 1.0).max() > _CELL_CHANGE:
        raise InputError(f"{place}: the cell changes by more than {_CELL_CHANGE:.0%}; this is not one crystal")
    fractional = np.array([atoms.get_scaled_positions(wrap=False) for atoms in frames])
    return Trajectory(
        numbers.astype(np.int64), mean, unwrap(fractional) @ mean, interval / 1000.0, temperature, None, place.name
    )


def unwrap(fractional: FloatArray) -> FloatArray:
    """Undo jumps across cell faces: between frames every atom moves to the nearest image.

    Args:
        fractional: shape (frames, atoms, 3).
    """
    steps = np.diff(fractional, axis=0)
    steps -= np.round(steps)
    return np.concatenate([fractional[:1], fractional[:1] + np.cumsum(steps, axis=0)])


def _frames(place: Path, species: Sequence[str]) -> list[Any]:
    from ase.io import read

    options: dict[str, Any] = {"index": ":"}
    name = place.name.lower()
    if "xdatcar" in name:
        options["format"] = "vasp-xdatcar"
    elif name.endswith((".lammpstrj", ".dump")) or name.startswith("dump."):
        options["format"] = "lammps-dump-text"
        if species:
            options["specorder"] = list(species)
    try:
        frames = read(place, **options)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, StopIteration, AssertionError) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{place}: cannot be read as a trajectory: {reason[0]}") from error
    if len(frames) < 2:
        raise InputError(f"{place}: expected at least two frames, got {len(frames)}")
    return list(frames)

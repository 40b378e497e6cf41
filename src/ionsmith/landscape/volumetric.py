"""Volumetric files of a landscape that VESTA and other viewers open: Gaussian cube and grd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pymatgen.core import Structure
from scipy import constants

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.field import EnergyField

_BOHR = constants.physical_constants["Bohr radius"][0] * 1e10  # angstrom
_PER_LINE = 6


def cube_text(field: EnergyField, structure: Structure, *, ceiling: float = 10.0) -> str:
    """Return a Gaussian cube file: energies in eV above the lowest, lengths in bohr.

    Args:
        field: the energies.
        structure: the crystal on the same cell; of a disordered site the most frequent species is drawn.
        ceiling: higher energies are written as this, eV.

    Raises:
        InputError: the cell of the structure is not that of the field.
    """
    _same_cell(field, structure)
    lines = ["ionsmith energy landscape", "eV above the lowest point"]
    lines.append(f"{len(structure):5d}{0.0:14.8f}{0.0:14.8f}{0.0:14.8f}")
    for count, vector in zip(field.shape, field.lattice / np.array(field.shape)[:, None] / _BOHR, strict=True):
        lines.append(f"{count:5d}" + "".join(f"{x:14.8f}" for x in vector))
    for site in structure:
        number = max(site.species.items(), key=lambda item: item[1])[0].Z
        lines.append(f"{number:5d}{0.0:14.8f}" + "".join(f"{x:14.8f}" for x in site.coords / _BOHR))
    values = _heights(field, ceiling).reshape(-1, field.shape[2])
    for row in values:
        lines += ["".join(f"{x:13.5e}" for x in chunk) for chunk in _chunks(row)]
    return "\n".join(lines) + "\n"


def grd_text(field: EnergyField, *, ceiling: float = 10.0) -> str:
    """Return a grd file: title, cell lengths and angles, grid, energies in eV above the lowest (last axis fastest).

    Args:
        field: the energies.
        ceiling: higher energies are written as this, eV.
    """
    lengths = np.linalg.norm(field.lattice, axis=1)
    unit = field.lattice / lengths[:, None]
    cosines = np.array([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]])
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    head = ["ionsmith energy landscape, eV above the lowest point"]
    head.append(" ".join(f"{x:.6f}" for x in (*lengths, *angles)))
    head.append(" ".join(str(n) for n in field.shape))
    body = "\n".join(f"{x:.5f}" for x in _heights(field, ceiling).ravel())
    return "\n".join(head) + "\n" + body + "\n"


def write_cube(path: str | Path, field: EnergyField, structure: Structure, *, ceiling: float = 10.0) -> None:
    """Write :func:`cube_text` to a file.

    Args:
        path: file to write.
        field: the energies.
        structure: see :func:`cube_text`.
        ceiling: higher energies are written as this, eV.

    Raises:
        InputError: the cell of the structure is not that of the field.
    """
    Path(path).write_text(cube_text(field, structure, ceiling=ceiling))


def write_grd(path: str | Path, field: EnergyField, *, ceiling: float = 10.0) -> None:
    """Write :func:`grd_text` to a file.

    Args:
        path: file to write.
        field: the energies.
        ceiling: higher energies are written as this, eV.
    """
    Path(path).write_text(grd_text(field, ceiling=ceiling))


def _heights(field: EnergyField, ceiling: float) -> FloatArray:
    return np.minimum(field.values.astype(float) - field.minimum, ceiling)


def _chunks(row: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(row), _PER_LINE):
        yield row[start : start + _PER_LINE]


def _same_cell(field: EnergyField, structure: Structure) -> None:
    if not np.allclose(field.lattice, structure.lattice.matrix, atol=1e-3):
        mine, theirs = np.linalg.norm(field.lattice, axis=1).round(3), np.round(structure.lattice.abc, 3)
        raise InputError(f"cube file: expected a crystal on the cell of the field {mine}, got {theirs}")

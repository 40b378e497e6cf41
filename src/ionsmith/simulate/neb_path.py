"""Where a band starts: straight, by image-dependent pair potential, or along the bond-valence valley."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape import percolation
from ionsmith.landscape.surface import PairSurface, Surface

_POINTS = 21  # along the valley
_SWEEPS = 200
_MOBILITY = 0.02  # angstrom^2/eV
_LONGEST_MOVE = 0.03  # angstrom
_SIDEWAYS = 1.5  # angstrom; a valley farther from the straight line leads over another site


def valley_surface(structure: Structure, mobile: str) -> Surface | None:
    """The bond-valence surface of a crystal, or None where the bond-valence model has no parameters for it.

    Args:
        structure: ordered crystal.
        mobile: element symbol.
    """
    try:
        found = percolation(structure, mobile, resolution=0.5)
    except (PhysicsError, InputError):
        return None
    return None if found.framework is None else PairSurface(found.framework, found.cutoff)


def valley(surface: Surface, start: FloatArray, end: FloatArray) -> FloatArray:
    """Relax a chain of points from one site to another across the gradient of a surface, evenly spaced.

    Args:
        surface: energy of the mobile ion.
        start: Cartesian, angstrom; shape (3,).
        end: likewise.

    Returns:
        Points, angstrom; shape (21, 3).
    """
    share = np.linspace(0.0, 1.0, _POINTS)[:, None]
    straight = (1.0 - share) * start + share * end
    points = straight.copy()
    # a symmetric straight line may run along a ridge: a small bow lets it fall to one side
    points[1:-1] += 0.05 * np.sin(np.pi * share[1:-1]) * np.array([0.57, 0.21, -0.79])
    for _ in range(_SWEEPS):
        tangent = points[2:] - points[:-2]
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        gradient = surface.evaluate(points[1:-1])[1]
        across = gradient - (gradient * tangent).sum(axis=1, keepdims=True) * tangent
        move = -_MOBILITY * across
        size = np.linalg.norm(move, axis=1, keepdims=True)
        points[1:-1] += move * np.minimum(1.0, _LONGEST_MOVE / np.maximum(size, 1e-12))
        points = spaced(points, _POINTS)
    return points if np.linalg.norm(points - straight, axis=1).max() < _SIDEWAYS else straight


def spaced(points: FloatArray, count: int) -> FloatArray:
    """Points at equal distances along a broken line.

    Args:
        points: shape (n, 3).
        count: how many.
    """
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    wanted = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(wanted, length, points[:, k]) for k in range(points.shape[1])], axis=1)


def starting_paths(
    atoms: Any, first: FloatArray, last: FloatArray, *, images: int, ions: Sequence[int], surface: Surface | None
) -> dict[str, FloatArray]:
    """Candidate bands by name, end points included.

    Args:
        atoms: ASE atoms that carry species and cell.
        first: relaxed positions before the hop, angstrom; shape (atoms, 3).
        last: after it.
        images: number of images between them.
        ions: indices of the atoms that hop.
        surface: bond-valence surface, or None.

    Returns:
        Name to positions; shape (images + 2, atoms, 3).
    """
    from ase.mep.neb import idpp_interpolate

    share = np.linspace(0.0, 1.0, images + 2)[:, None, None]
    linear = (1.0 - share) * first + share * last
    bands = {"linear": linear}
    frames = []
    for positions in linear:
        frame = atoms.copy()
        frame.set_positions(positions)
        frames.append(frame)
    with warnings.catch_warnings():  # ASE warns about its own default
        warnings.simplefilter("ignore")
        idpp_interpolate(frames, traj=None, log=None, fmax=0.1, steps=60, mic=True)
    bands["idpp"] = np.array([frame.get_positions() for frame in frames])
    bands["idpp"] = _unbroken(bands["idpp"], linear, atoms.cell.array)
    if surface is not None:
        bent = linear.copy()
        for ion in ions:
            bent[:, ion] = spaced(valley(surface, first[ion], last[ion]), images + 2)
        bands["bvse"] = bent
    return bands


def _unbroken(band: FloatArray, near: FloatArray, cell: FloatArray) -> FloatArray:
    """Move atoms by whole cells so that they lie where a reference band has them."""
    away = (band - near) @ np.linalg.inv(cell)
    return np.asarray(band - np.round(away) @ cell)

"""What the transfer network reads: one CHGNet pass per crystal, remembered, so that several models share it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

from ionsmith.core.errors import InputError, IonsmithError
from ionsmith.core.records import Candidate
from ionsmith.io.ordering import order_candidate
from ionsmith.learn.network import Crowd
from ionsmith.represent.chgnet import CrystalView, chgnet_views
from ionsmith.represent.composition import ElementStatistics

MAX_SITES = 200
"""Largest cell that is looked at, atoms: CHGNet's time and memory grow with it."""

_REMEMBERED_ATOMS = 200_000  # some 260 MB
_WHOLE = 3  # features of a crystal that come from its view, before those of the formula
Seen = CrystalView | IonsmithError
"""A view, or why there is none."""


class ViewMemory:
    """The last crystals seen, by content hash; the oldest are forgotten when there are too many atoms."""

    def __init__(self, most_atoms: int = _REMEMBERED_ATOMS) -> None:
        """Start empty.

        Args:
            most_atoms: atoms remembered in total.
        """
        self.most_atoms = most_atoms
        self._atoms = 0
        self._known: OrderedDict[str, Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __call__(self, candidates: Sequence[Candidate]) -> list[Seen]:
        """Return what CHGNet says about each candidate; where it cannot say, the reason in its place.

        Disordered crystals are looked at through their ordered approximant.

        Args:
            candidates: n materials.
        """
        answers = {c.key: self._known[c.key] for c in candidates if c.key in self._known}
        answers |= _look({c.key: c for c in candidates if c.key not in answers})
        self.remember(answers)
        return [answers[candidate.key] for candidate in candidates]

    def forget(self) -> None:
        """Forget all crystals."""
        self._known.clear()
        self._atoms = 0

    def remember(self, views: Mapping[str, Seen]) -> None:
        """Keep views that were computed before.

        Args:
            views: candidate key to view.
        """
        for key, answer in views.items():
            if key not in self._known:
                self._atoms += _size(answer)
            self._known[key] = answer
            self._known.move_to_end(key)
        while self._atoms > self.most_atoms and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._atoms -= _size(forgotten)


def sound(views: Sequence[Seen]) -> tuple[list[int], list[CrystalView]]:
    """Return the places of the crystals that could be looked at, and their views.

    Args:
        views: of n crystals, or why there is none.
    """
    places = [place for place, view in enumerate(views) if isinstance(view, CrystalView)]
    return places, [view for view in views if isinstance(view, CrystalView)]


VIEWS = ViewMemory()
"""The memory that all models of a process share."""


def _size(answer: Seen) -> int:
    return 1 if isinstance(answer, IonsmithError) else len(answer)


def _look(candidates: Mapping[str, Candidate]) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    structures: dict[str, Structure] = {}
    for key, candidate in candidates.items():
        try:
            structures[key] = plain_structure(candidate)
        except IonsmithError as reason:
            found[key] = reason
    return found | dict(zip(structures, chgnet_views(list(structures.values())), strict=True))


def plain_structure(candidate: Candidate) -> Structure:
    """Return the ordered crystal of elements that CHGNet is shown.

    Args:
        candidate: a crystal; a disordered one is replaced by its ordered approximant.

    Raises:
        InputError: not a crystal, or a cell beyond ``MAX_SITES``.
        PhysicsError: no ordered approximant.
    """
    structure = order_candidate(candidate, max_sites=MAX_SITES).structure
    if len(structure) > MAX_SITES:
        raise InputError(f"expected a cell of at most {MAX_SITES} atoms, got {len(structure)}")
    species = [Element.from_Z(site.specie.Z) for site in structure]
    return Structure(structure.lattice, species, structure.frac_coords)


def crowd_of(candidates: Sequence[Candidate], views: Sequence[CrystalView]) -> Crowd:
    """Return what the network reads: distinct atoms with their features, and features of each crystal.

    Per atom the blocks of :class:`CrystalView`, the magnetic moment and the site energy; per crystal the energy and
    volume per atom and its logarithm, and the element statistics. Nothing depends on the choice of cell.

    Args:
        candidates: n materials.
        views: of the same, in order.
    """
    parts, weights, sizes = [], [], []
    for view in views:
        label = view.alike()
        _, first, count = np.unique(label, return_index=True, return_counts=True)
        extra = np.column_stack([view.magmoms, view.site_energies]).astype(np.float32)
        parts.append(np.hstack([view.atoms, extra])[first])
        weights.append(count)
        sizes.append(len(first))
    whole = [[view.energy, view.volume, np.log(view.volume)] for view in views]
    content = np.nan_to_num(ElementStatistics().encode(candidates))
    return Crowd(
        np.concatenate(parts),
        np.concatenate(weights).astype(np.float32),
        np.array(sizes, dtype=np.int64),
        np.hstack([np.array(whole), content]).astype(np.float32),
    )


def fingerprints(crowd: Crowd) -> NDArray[np.float32]:
    """Return the mean atom of each crystal, shape (n, F), from which distances between materials are made.

    Args:
        crowd: n crystals.
    """
    return _averaged(crowd, crowd.atoms)


def portraits(crowd: Crowd) -> NDArray[np.float32]:
    """Return the mean atom of each crystal, how much its atoms differ, energy and volume; shape (n, 2 F + 3).

    Element statistics are not in it: with them the kernel makes larger errors (docs/benchmarks/transfer.md).

    Args:
        crowd: n crystals.
    """
    mean = _averaged(crowd, crowd.atoms)
    owner = np.repeat(np.arange(len(crowd)), crowd.sizes)
    deviation = np.sqrt(_averaged(crowd, (crowd.atoms - mean[owner]) ** 2))
    return np.hstack([mean, deviation, crowd.crystal[:, :_WHOLE]])


def _averaged(crowd: Crowd, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    owner = np.repeat(np.arange(len(crowd)), crowd.sizes)
    total = np.zeros((len(crowd), rows.shape[1]))
    np.add.at(total, owner, rows * crowd.weights[:, None])
    return np.asarray(total / np.bincount(owner, weights=crowd.weights)[:, None], dtype=np.float32)

"""Why a transfer model says what it says: the nearest training materials, and what each kind of atom adds."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymatgen.core import Element

from ionsmith.learn.network import Crowd, without_each_atom
from ionsmith.predict.transfer_head import Head
from ionsmith.predict.transfer_readings import Reading
from ionsmith.predict.transfer_views import fingerprints
from ionsmith.represent.chgnet import CrystalView


def nearest_known(head: Head, crowd: Crowd, column: int, k: int, reading: Reading) -> list[dict[str, Any]]:
    """Return the nearest training materials, nearest first: ``formula``, ``locator``, ``value`` and ``distance``.

    ``value`` is in the unit of the quantity; where a correction was learnt it stands as ``correction`` instead.

    Args:
        head: fitted.
        crowd: one crystal.
        column: of the target.
        k: how many.
        reading: how the quantity was learnt.
    """
    name = "value" if reading.base is None else "correction"
    count = min(k, len(head.told))
    rows, distances = head.neighbourhood.nearest(fingerprints(crowd), count)
    found = []
    for row, distance in zip(rows[0].tolist(), distances[0].tolist(), strict=True):
        formula, locator, values = head.told[row]
        known: dict[str, Any] = {"formula": formula, "locator": locator, "distance": round(distance, 3)}
        if values[column] is not None:
            known[name] = round(reading.plain(float(values[column])), 4)
        found.append(known)
    return found


def atom_effects(head: Head, crowd: Crowd, view: CrystalView, column: int, reading: Reading) -> list[dict[str, Any]]:
    """Return what each kind of atom adds, largest effect first: ``element``, ``count``, ``sites`` and ``effect``.

    The effect is the prediction minus the prediction with these atoms left out of the pooled features (features of
    the crystal as a whole stay), in the unit of the quantity. Atoms that symmetry makes the same are one
    kind; a crystal with one kind of atom has no effects to tell apart.

    Args:
        head: fitted.
        crowd: one crystal, made of ``view``.
        view: of the same crystal.
        column: of the target.
        reading: how the quantity was learnt.
    """
    if len(crowd.atoms) < 2:
        return []
    whole = reading.plain(float(head.means(crowd)[0, column]))
    without = head.means(without_each_atom(crowd))[:, column]
    label = view.alike()
    effects = []
    for kind, left in enumerate(without.tolist()):
        sites = np.flatnonzero(label == kind)
        effects.append(
            {
                "element": str(Element.from_Z(int(view.numbers[sites[0]])).symbol),
                "count": len(sites),
                "sites": sites.tolist(),
                "effect": round(whole - reading.plain(left), 5),
            }
        )
    return sorted(effects, key=lambda effect: -abs(float(effect["effect"])))

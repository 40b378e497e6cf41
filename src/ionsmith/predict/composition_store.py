"""Keeps a composition core on disk: weights, calibration and what it remembers, with a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.artifacts.cards import load_artifact, save_artifact
from ionsmith.core.errors import ArtifactError
from ionsmith.core.records import FloatArray
from ionsmith.learn.spread import SpreadModel
from ionsmith.predict.composition_core import Core, CoreSettings
from ionsmith.predict.composition_hull import QuickHull
from ionsmith.predict.composition_memory import Memory
from ionsmith.predict.composition_network import NetworkSettings, Scale, network_arrays, networks_from_arrays
from ionsmith.thermodynamics.phases import HullTable

ARTIFACT = "composition_properties"


def core_arrays(core: Core) -> dict[str, NDArray[Any]]:
    """Return what to store of a core, apart from its settings and the hull.

    Args:
        core: fitted.
    """
    spreads = np.stack([_spread_row(core.spreads[task]) for task in core.tasks])
    named = {"features": core.scale.features, "targets": core.scale.targets, "spread": spreads}
    stored: dict[str, NDArray[Any]] = {name: array.astype(np.float32) for name, array in named.items()}
    return stored | core.memory.arrays() | network_arrays(core.networks, prefix="network.")


def core_from_arrays(
    arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any], *, tasks: Sequence[str], hull: QuickHull | None
) -> Core:
    """Return the core that :func:`core_arrays` described.

    Args:
        arrays: named arrays.
        settings: the fields of :class:`CoreSettings`.
        tasks: quantities, in order.
        hull: known phases.

    Raises:
        ArtifactError: something is missing.
    """
    try:
        full = CoreSettings(**{**settings, "network": NetworkSettings(**settings["network"])})
        scale = Scale(arrays["features"].astype(float), arrays["targets"].astype(float))
        spreads = {task: _spread(row) for task, row in zip(tasks, arrays["spread"].astype(float), strict=True)}
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"artifact {ARTIFACT}: expected settings and arrays of this model: {error}") from error
    networks = networks_from_arrays(arrays, full.members, prefix="network.")
    memory = Memory.from_arrays(arrays)
    return Core(tuple(tasks), full, networks, scale, spreads, memory.together(), memory, hull)


def save(core: Core, *, card: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write a fitted core with its card; returns the folder.

    Args:
        core: fitted.
        card: ``data``, ``split``, ``metrics`` and ``command``; see :func:`ionsmith.artifacts.cards.save_artifact`.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: the card lacks something.
    """
    head = {"title": "Properties of a formula", "settings": asdict(core.settings), "tasks": list(core.tasks)}
    return save_artifact(ARTIFACT, core_arrays(core), card={**head, **card}, folder=folder)


def load_core(*, folder: Path | None = None) -> Core:
    """Return the shipped core, with the shipped reference hull.

    Args:
        folder: parent folder of another artifact of the same layout; the package's own if None.

    Raises:
        ArtifactError: the weights are missing, damaged, or do not match their card.
    """
    artifact = load_artifact(ARTIFACT, folder=folder)
    tasks, settings = artifact.card.get("tasks", ()), artifact.card.get("settings", {})
    return core_from_arrays(artifact.arrays, settings, tasks=tasks, hull=QuickHull(HullTable.shipped()))


def _spread_row(spread: SpreadModel) -> FloatArray:
    return np.concatenate([spread.weights, spread.low, spread.high, [spread.floor]])


def _spread(row: FloatArray) -> SpreadModel:
    return SpreadModel(row[:4], row[4:7], row[7:10], float(row[10]))

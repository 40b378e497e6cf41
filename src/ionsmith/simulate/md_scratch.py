"""Where a long simulation keeps its checkpoints, and the prepared cell that a resumed run must find again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from pymatgen.core import Structure

from ionsmith.core.records import Candidate


def scratch_folder(scratch: str, candidate: Candidate, fingerprint: str) -> Path | None:
    """Return the folder of one material under one set of settings, or None where nothing is to be kept.

    Args:
        scratch: folder for checkpoints; empty for none.
        candidate: the material.
        fingerprint: of the simulator.
    """
    if not scratch:
        return None
    label = hashlib.sha256(fingerprint.encode()).hexdigest()[:12]
    folder = Path(scratch) / f"{candidate.key[:16]}-{label}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kept_cell(folder: Path | None, prepare: Callable[[], Structure], name: str = "cell") -> Structure:
    """Return the prepared cell from the folder, or prepare and keep it.

    Args:
        folder: for checkpoints; None for none.
        prepare: makes the cell.
        name: of the file, where a folder holds more than one.
    """
    if folder is None:
        return prepare()
    place = folder / f"{name}.json"
    if not place.is_file():
        draft = place.with_suffix(".part")
        draft.write_text(json.dumps(prepare().as_dict()))
        draft.replace(place)
    return Structure.from_dict(json.loads(place.read_text()))

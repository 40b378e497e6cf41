"""Where the ions of a crystal have been: an unwrapped trajectory, kept compactly and grown piece by piece."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import FloatArray


@dataclass(frozen=True)
class Trajectory:
    """Unwrapped positions of all atoms at equal intervals and one temperature.

    Attributes:
        numbers: atomic numbers; shape (atoms,).
        cell: rows are the mean cell vectors, angstrom; shape (3, 3).
        positions: Cartesian, not wrapped back into the cell, angstrom; shape (frames, atoms, 3).
        interval: time between frames, ps.
        temperature: K; zero where it is not known.
        energies: potential energies, eV; shape (frames,), or empty.
        source: where it came from, for messages.
    """

    numbers: NDArray[np.int64]
    cell: FloatArray
    positions: FloatArray
    interval: float
    temperature: float = 0.0
    energies: FloatArray | None = None
    source: str = "trajectory"

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together.

        Raises:
            InputError: wrong shapes, fewer than two frames, positions that are not finite, or no time between frames.
        """
        frames = self.positions.shape
        if len(frames) != 3 or frames[1:] != (len(self.numbers), 3):
            raise InputError(
                f"{self.source}: expected positions (frames, {len(self.numbers)}, 3), got {tuple(frames)}"
            )
        if frames[0] < 2:
            raise InputError(f"{self.source}: expected at least two frames, got {frames[0]}")
        if not np.isfinite(self.positions).all():
            raise InputError(f"{self.source}: positions that are not finite")
        if not self.interval > 0.0:
            raise InputError(f"{self.source}: expected a time between frames above zero, got {self.interval}")

    @property
    def duration(self) -> float:
        """Time from first to last frame, ps."""
        return self.interval * (len(self.positions) - 1)

    @property
    def volume(self) -> float:
        """Cell volume, cubic angstrom."""
        return float(abs(np.linalg.det(self.cell)))

    def after(self, start: float) -> Trajectory:
        """Return what follows a time.

        Args:
            start: ps from the first frame.

        Raises:
            InputError: fewer than two frames remain.
        """
        first = int(np.ceil(start / self.interval - 1e-9))
        energies = None if self.energies is None else self.energies[first:]
        return Trajectory(
            self.numbers, self.cell, self.positions[first:], self.interval, self.temperature, energies, self.source
        )


class Recorder:
    """Keeps the pieces of a running trajectory, in a folder or, without one, in memory.

    Every piece is one picosecond or less and is written under another name first, so that a kill leaves whole pieces.

    Args:
        folder: where the pieces go; None keeps them in memory.
        settings: text that says what is computed; a folder that holds another computation is refused.

    Raises:
        DataError: the folder holds pieces of another computation.
    """

    def __init__(self, folder: Path | None, *, settings: str) -> None:
        self._folder = folder
        self._positions: list[NDArray[np.float32]] = []
        self._energies: list[FloatArray] = []
        self.state: dict[str, Any] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        label = folder / "settings.txt"
        if label.exists() and label.read_text() != settings:
            raise DataError(f"{folder}: expected pieces of {settings}, got {label.read_text()}")
        label.write_text(settings)
        for path in sorted(folder.glob("piece-*.npz")):
            self._read(path)

    @property
    def frames(self) -> int:
        """Number of frames kept so far."""
        return sum(len(piece) for piece in self._positions)

    def add(self, positions: FloatArray, energies: FloatArray, state: dict[str, Any]) -> None:
        """Keep a piece and the state from which the run continues.

        Args:
            positions: new frames, angstrom; shape (frames, atoms, 3).
            energies: their potential energies, eV; shape (frames,).
            state: positions, velocities and the random generator's state after the piece.
        """
        small = positions.astype(np.float32)
        self._positions.append(small)
        self._energies.append(energies)
        self.state = state
        if self._folder is None:
            return
        path = self._folder / f"piece-{len(self._positions):05d}.npz"
        draft = path.with_suffix(".part")
        with draft.open("wb") as file:
            np.savez_compressed(
                file,
                frames=small,
                energies=energies,
                positions=state["positions"],
                velocities=state["velocities"],
                random=np.array(json.dumps(state["random"])),
            )
        draft.replace(path)

    def collected(self) -> tuple[FloatArray, FloatArray]:
        """Return all positions (frames, atoms, 3), angstrom, and energies (frames,), eV."""
        return np.concatenate(self._positions).astype(float), np.concatenate(self._energies)

    def _read(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as piece:
            self._positions.append(piece["frames"])
            self._energies.append(piece["energies"])
            self.state = {
                "positions": piece["positions"],
                "velocities": piece["velocities"],
                "random": json.loads(str(piece["random"])),
            }

"""The crystal prior as a source of candidates: what an autoregressive network learnt of known crystals, sampled.

Space group, Wyckoff positions, elements, coordinates and cell are written one after the other, so symmetry is exact
by construction (compare Kazeev et al., arXiv 2503.02407, and Zhu et al., arXiv 2402.17045).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ionsmith.artifacts.cards import load_artifact, save_artifact
from ionsmith.core.crystals import arranged
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status, unreadable
from ionsmith.core.registry import register
from ionsmith.generate.ions import UNWANTED
from ionsmith.generate.wyckoff_network import Settings, WyckoffNetwork
from ionsmith.generate.wyckoff_writer import Conditions, Written, write
from ionsmith.represent.wyckoff_tokens import LARGEST, decode

ARTIFACT = "crystal_prior"

TEMPERATURE, GEOMETRY_TEMPERATURE = 0.8, 0.5
"""Of draws by default: twice as many crystals are stable and new as at 1 and 1, and hardly fewer are new
(docs/benchmarks/prior.md)."""


@dataclass(frozen=True)
class Draft:
    """A sentence and the proposal it became.

    Attributes:
        written: the sentence.
        outcome: a crystal in its primitive cell, or why there is none.
    """

    written: Written
    outcome: Outcome


def load_prior(*, folder: Path | None = None) -> WyckoffNetwork:
    """Return the shipped network, ready to write; every call gives a copy of its own.

    Args:
        folder: parent folder of another artifact of the same layout; the package's own if None.

    Raises:
        ArtifactError: the weights are missing, damaged, or do not match their card.
    """
    artifact = load_artifact(ARTIFACT, folder=folder)
    try:
        network = WyckoffNetwork(Settings(**artifact.card["settings"]))
        weights = {name: torch.from_numpy(array.astype(np.float32)) for name, array in artifact.arrays.items()}
        network.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError, InputError) as error:
        raise ArtifactError(f"artifact {ARTIFACT}: expected weights of this network: {error}") from error
    network.eval()
    return network


def save_prior(network: WyckoffNetwork, *, card: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write a network with its card, in half precision; returns the folder.

    Args:
        network: trained.
        card: ``data``, ``split``, ``metrics`` and ``command``; see :func:`ionsmith.artifacts.cards.save_artifact`.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: the card lacks something.
    """
    arrays = {name: tensor.numpy().astype(np.float16) for name, tensor in network.state_dict().items()}
    full = {"title": "Crystals as Wyckoff sentences", "settings": asdict(network.settings), **card}
    return save_artifact(ARTIFACT, arrays, card=full, folder=folder)


def draw(network: WyckoffNetwork, wanted: Sequence[Conditions], rng: Rng, *, name: str) -> list[Draft]:
    """Return one draft per condition, in order.

    Args:
        network: that writes.
        wanted: what each crystal must be.
        rng: random stream.
        name: of the source, for the records.
    """
    return [Draft(written, _proposal(written, name)) for written in write(network, wanted, rng)]


def _proposal(written: Written, name: str) -> Outcome:
    """Return the crystal of a sentence, or a rejection that says why there is none."""
    if not written.problem:
        try:
            crystal = decode(written.words)
            structure = crystal.structure().get_primitive_structure()
        except (InputError, ValueError) as reason:
            problem = " ".join(str(reason).split())
        else:
            words = f"{structure.composition.reduced_formula}, space group {crystal.space_group}"
            return Outcome(Candidate(Kind.CRYSTAL, structure, arranged(Origin(name, words))))
    else:
        problem = written.problem
    text = " ".join(map(str, written.words))
    note = f"expected a complete crystal, got a sentence of {len(written.words)} words: {problem}"
    return unreadable(text, source=Origin(name, "sentence"), note=note, status=Status.REJECTED)


@register("generator", "prior")
class CrystalPrior:
    """Samples the shipped prior; learns nothing.

    Args:
        mobile: symbol that has to occur; empty asks for any crystal.
        exclude: symbols that must not occur.
        only: symbols of which crystals may consist; empty allows all.
        atoms: number of atoms of the primitive cell that is asked for; None leaves it open.
        largest: most atoms of the primitive cell.
        temperature: of the draw of groups, positions and elements; below 1 the likely crystals gain.
        geometry_temperature: of the draw of cell and coordinates.
        network: another network than the shipped one.

    Raises:
        InputError: conditions that no crystal can meet.
    """

    name = "prior"

    def __init__(
        self,
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        only: Sequence[str] = (),
        atoms: int | None = None,
        largest: int = LARGEST,
        temperature: float = TEMPERATURE,
        geometry_temperature: float = GEOMETRY_TEMPERATURE,
        network: WyckoffNetwork | None = None,
    ) -> None:
        self._conditions = replace(
            conditions(mobile, exclude, only=only, largest=largest),
            atoms=atoms,
            temperature=temperature,
            geometry_temperature=geometry_temperature,
        )
        self._network = network

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Return itself: what it knows is shipped; `benchmarks/prior_train.py` trains another."""
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return n proposals; sentences that are no crystal are among them as rejections.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: :class:`Conditions` that replace the generator's own, or None.
        """
        wanted = condition if isinstance(condition, Conditions) else self._conditions
        network = self._network or _shipped()
        return tuple(draft.outcome for draft in draw(network, [wanted] * n, rng, name=self.name))

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Ignore what became of them."""


def conditions(
    mobile: str,
    exclude: Sequence[str],
    *,
    only: Sequence[str] = (),
    largest: int = LARGEST,
) -> Conditions:
    """Return the conditions of a search for electrolytes.

    Args:
        mobile: symbol that has to occur, or empty.
        exclude: symbols that must not occur, besides :data:`UNWANTED`.
        only: symbols of which crystals may consist; empty allows all.
        largest: most atoms of the primitive cell.

    Raises:
        InputError: conditions that no crystal can meet.
    """
    required = (mobile,) if mobile else ()
    forbidden = tuple(dict.fromkeys((*exclude, *(symbol for symbol in UNWANTED if symbol not in only))))
    return Conditions(
        required,
        forbidden,
        tuple(only),
        largest=largest,
        temperature=TEMPERATURE,
        geometry_temperature=GEOMETRY_TEMPERATURE,
    )


@lru_cache(maxsize=1)
def _shipped() -> WyckoffNetwork:
    return load_prior()

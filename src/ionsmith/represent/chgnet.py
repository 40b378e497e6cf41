"""Crystals as CHGNet sees them: one pass of the pretrained potential gives features of every atom and the energy."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from ionsmith.core.errors import PhysicsError

BLOCKS = ("conv1", "conv2", "conv3", "last", "bonds")
"""What stands side by side in ``CrystalView.atoms``: atoms after each convolution, and what their bonds look like."""

WIDTH = 64
"""Columns per block."""

_HEAVIEST = 94  # atomic number of plutonium, the last element that CHGNet has seen

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class CrystalView:
    """What one pass of CHGNet says about a crystal.

    Attributes:
        numbers: atomic numbers, shape (atoms,).
        atoms: features of each atom, block after block as in ``BLOCKS``, shape (atoms, 320). ``conv1`` to ``conv3``
            are the atom features after the first three convolutions, ``last`` those after the fourth and its norm,
            from which CHGNet reads energies; ``bonds`` is the sum over an atom's bonds of the last bond features,
            weighted as CHGNet weights its messages (smoothly zero at 6 angstrom).
        magmoms: magnetic moments, Bohr magnetons, shape (atoms,).
        site_energies: eV, shape (atoms,); their mean is ``energy``.
        energy: eV/atom, on the scale that CHGNet was trained on (Materials Project, corrections of 2020).
        volume: angstrom^3 per atom.
    """

    numbers: NDArray[np.int64]
    atoms: Float32
    magmoms: Float32
    site_energies: Float32
    energy: float
    volume: float

    def __len__(self) -> int:
        return len(self.numbers)

    def alike(self, tolerance: float = 0.01) -> NDArray[np.int64]:
        """Return a label per atom, shape (atoms,): atoms that symmetry makes the same get the same one, from 0 up.

        Two atoms are the same if they are of one element and no feature of theirs differs by more than the
        tolerance times the largest.

        Args:
            tolerance: share of the largest feature; single precision and rounded coordinates leave about 1e-4.
        """
        label = np.full(len(self), -1, dtype=np.int64)
        limit = tolerance * float(np.abs(self.atoms[:, : 3 * WIDTH]).max(initial=1e-6))
        for atom in range(len(self)):
            if label[atom] < 0:
                apart = np.abs(self.atoms[:, : 3 * WIDTH] - self.atoms[atom, : 3 * WIDTH]).max(axis=1)
                same = (apart <= limit) & (self.numbers == self.numbers[atom]) & (label < 0)
                label[same] = label.max() + 1
        return label


def chgnet_version() -> str:
    """Return text that changes with the installed CHGNet, whose wheel holds the weights."""
    return f"chgnet-{version('chgnet')}"


def chgnet_views(structures: Sequence[Structure], *, batch: int = 0) -> list[CrystalView | PhysicsError]:
    """Return what CHGNet says about each crystal; a crystal it refuses gives the reason in its place.

    Args:
        structures: n ordered crystals of elements.
        batch: crystals per pass; 0 takes one on a processor, where larger batches only leave the cache (measured:
            15 ms alone, 19 ms in batches of 16 for 9 atoms), and 64 on a GPU.
    """
    graphs = [_graph(structure) for structure in structures]
    sound = [place for place, graph in enumerate(graphs) if not isinstance(graph, PhysicsError)]
    found: list[CrystalView | PhysicsError] = [
        graph if isinstance(graph, PhysicsError) else PhysicsError("chgnet: not computed") for graph in graphs
    ]
    size = batch or (1 if _model().device_kind == "cpu" else 64)
    for start in range(0, len(sound), size):
        places = sound[start : start + size]
        answers = _model().look([graphs[place] for place in places])
        for place, (atoms, magmoms, site_energies, energy) in zip(places, answers, strict=True):
            structure = structures[place]
            numbers = np.array([site.specie.Z for site in structure], dtype=np.int64)
            volume = float(structure.volume) / len(structure)
            view = CrystalView(numbers, atoms, magmoms, site_energies, energy, volume)
            found[place] = view if math.isfinite(energy) else PhysicsError("chgnet gave an energy that is not finite")
    return found


def _graph(structure: Structure) -> Any:
    heaviest = max(site.specie.Z for site in structure)
    if heaviest > _HEAVIEST:
        return PhysicsError(f"chgnet knows elements up to number {_HEAVIEST}, got number {heaviest}")
    try:
        return _model().network.graph_converter(structure)
    except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError) as error:
        lines = str(error).splitlines()
        return PhysicsError(f"chgnet has no answer for this crystal: {lines[0] if lines else type(error).__name__}")


@dataclass(frozen=True)
class _Chgnet:
    """The pretrained network, and how to look inside it while it computes an energy."""

    network: Any
    device_kind: str

    def look(self, graphs: Sequence[Any]) -> Iterator[tuple[Float32, Float32, Float32, float]]:
        """Yield per graph: atom features, magnetic moments, site energies, energy per atom."""
        import torch

        seen: dict[str, Any] = {}
        convolutions = self.network.atom_conv_layers
        hooks = [
            layer.register_forward_hook(_keep(seen, name))
            for layer, name in zip(convolutions, BLOCKS[:3], strict=False)
        ]
        hooks.append(self.network.readout_norm.register_forward_hook(_keep(seen, "last")))
        hooks.append(convolutions[-1].register_forward_hook(_keep_bonds(seen), with_kwargs=True))
        try:
            with torch.no_grad():
                moved = [graph.to(self.network.device_used) for graph in graphs]
                answer = self.network(moved, task="em", return_site_energies=True)
        finally:
            for hook in hooks:
                hook.remove()
        sizes = answer["atoms_per_graph"].tolist()
        atoms = torch.cat([seen[name] for name in BLOCKS], dim=1).cpu().split(sizes)
        for row, features in enumerate(atoms):
            energies = answer["site_energies"][row].reshape(-1).cpu().numpy()
            magmoms = answer["m"][row].cpu().numpy()
            yield features.numpy(), magmoms, energies, float(answer["e"][row])


def _keep(seen: dict[str, Any], name: str) -> Any:
    def hook(module: Any, inputs: Any, output: Any) -> None:
        # the next convolution adds to its input in place
        seen[name] = output.clone()

    return hook


def _keep_bonds(seen: dict[str, Any]) -> Any:
    import torch

    def hook(module: Any, inputs: Any, given: dict[str, Any], output: Any) -> None:
        weighted = (given["bond_feas"] * given["bond_weights"])[given["directed2undirected"]]
        empty = torch.zeros(len(output), WIDTH, dtype=weighted.dtype, device=weighted.device)
        seen["bonds"] = empty.index_add_(0, given["atom_graph"][:, 0].long(), weighted)

    return hook


@lru_cache(maxsize=1)
def _model() -> _Chgnet:
    import torch
    from chgnet.model import CHGNet

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    with contextlib.redirect_stdout(io.StringIO()):  # it announces its device on stdout, which belongs to --json
        network = CHGNet.load(verbose=False, use_device=kind)
    network.eval()
    network.graph_converter.set_isolated_atom_response("error")
    network.device_used = kind
    return _Chgnet(network, kind)

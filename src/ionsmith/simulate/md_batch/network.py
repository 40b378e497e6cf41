"""CHGNet's forward pass with its own weights, arranged for speed: the same energies and forces to float precision.

A linear layer over joined features is the sum of linear layers over each part, so the parts are multiplied before
they are copied to bonds and angles; and forces come from one backward pass that leaves the weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.md_batch.graph import Bonds, NeighborList, join


class BatchForces:
    """Energies and forces of configurations of one crystal.

    Args:
        model: a CHGNet module; it is read, not changed.
        numbers: atomic numbers; shape (atoms,).
        cell: rows are the cell vectors, angstrom; shape (3, 3).
    """

    def __init__(self, model: Any, numbers: Sequence[int], cell: FloatArray) -> None:
        self._net = _Network(model)
        self._numbers = np.asarray(numbers, dtype=np.int64)
        self._cell = np.asarray(cell, dtype=float)
        converter = model.graph_converter
        self._cutoffs = (float(converter.atom_graph_cutoff), float(converter.bond_graph_cutoff))
        self._lists: list[NeighborList] = []

    def forget(self) -> None:
        """Search neighbours anew at the next call, so that a resumed run repeats an uninterrupted one bit by bit."""
        for neighbors in self._lists:
            neighbors.forget()

    def evaluate(self, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return energies, eV, shape (n,), and forces, eV/angstrom, shape (n, atoms, 3).

        Args:
            positions: Cartesian, angstrom; shape (n, atoms, 3).
        """
        count, atoms = len(positions), len(self._numbers)
        flat, bonds = self._graph(positions)
        site, forces, _ = self._net(flat, np.tile(self._numbers, count), bonds)
        return site.reshape(count, atoms).sum(axis=1), forces.reshape(count, atoms, 3)

    def energies(self, positions: FloatArray) -> FloatArray:
        """Return energies alone, eV, shape (n,), in less than half the time.

        Args:
            positions: Cartesian, angstrom; shape (n, atoms, 3).
        """
        count, atoms = len(positions), len(self._numbers)
        flat, bonds = self._graph(positions)
        with torch.no_grad():
            site, _ = self._net.energies(flat, np.tile(self._numbers, count), bonds)
        return np.asarray(site.reshape(count, atoms).sum(axis=1))

    def _graph(self, positions: FloatArray) -> tuple[FloatArray, Bonds]:
        while len(self._lists) < len(positions):
            self._lists.append(NeighborList(self._cell, self._cutoffs[0]))
        parts = [neighbors.pairs(p) for neighbors, p in zip(self._lists, positions, strict=False)]
        flat = np.ascontiguousarray(positions, dtype=float).reshape(-1, 3)
        return flat, join(parts, flat, atoms=len(self._numbers), short=self._cutoffs[1])


class CrystalForces:
    """Energy, forces and strain derivative of one crystal whose cell may change.

    Args:
        model: a CHGNet module; it is read, not changed.
        numbers: atomic numbers; shape (atoms,).
    """

    def __init__(self, model: Any, numbers: Sequence[int]) -> None:
        self._net = _Network(model)
        self._numbers = np.asarray(numbers, dtype=np.int64)
        converter = model.graph_converter
        self._cutoffs = (float(converter.atom_graph_cutoff), float(converter.bond_graph_cutoff))

    def evaluate(self, positions: FloatArray, cell: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return energy, eV, forces, eV/angstrom, shape (atoms, 3), and its derivative by strain, eV, shape (3, 3).

        Args:
            positions: Cartesian, angstrom; shape (atoms, 3).
            cell: rows are the cell vectors, angstrom; shape (3, 3).

        Raises:
            PhysicsError: an atom without a neighbour, for which CHGNet has no meaning.
        """
        pairs = NeighborList(cell, self._cutoffs[0]).pairs(positions)
        if len(np.unique(np.concatenate(pairs[:2]))) < len(self._numbers):
            raise PhysicsError(f"an atom has no neighbour within {self._cutoffs[0]:g} angstrom")
        bonds = join([pairs], positions, atoms=len(self._numbers), short=self._cutoffs[1])
        site, forces, strain = self._net(positions, self._numbers, bonds)
        return float(site.sum()), forces, strain


class _Network:
    """The weights, taken apart for the parts of joined features."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._composition = model.composition_model.fc.weight.detach().double().numpy().ravel()
        self._atom = [_Gated(layer.twoBody_atom, 3) for layer in model.atom_conv_layers]
        self._bond = [_Gated(layer.twoBody_bond, 4) for layer in model.bond_conv_layers]
        self._angle = [layer and _Gated(layer.twoBody_bond, 4) for layer in model.angle_layers]

    def __call__(
        self, positions: FloatArray, numbers: Any, bonds: Bonds
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return atom energies, eV, forces, eV/angstrom, and the derivative by a strain of all cells, eV, (3, 3).

        Everything depends on the bond vectors alone, so one gradient by these gives both.

        Args:
            positions: Cartesian, angstrom; shape (n, 3).
            numbers: atomic numbers; shape (n,).
            bonds: of the batch.
        """
        vector = self._vectors(positions, bonds).requires_grad_(True)
        frozen = [p for p in self._model.parameters() if p.requires_grad]
        for p in frozen:
            p.requires_grad_(False)
        try:
            energy, site = self._of(vector, numbers, bonds)
            (gradient,) = torch.autograd.grad(site.sum(), vector)
        finally:
            for p in frozen:
                p.requires_grad_(True)
        pull = _summed(gradient, bonds.first, len(numbers)) - _summed(gradient, bonds.second, len(numbers))
        strain = vector.detach().double().T @ gradient.double()
        return energy, -pull.numpy().astype(float), strain.numpy()

    def energies(self, positions: Any, numbers: Any, bonds: Bonds) -> tuple[FloatArray, Tensor]:
        """Return the energy of every atom, eV, and the part of it that a gradient can be taken of.

        Args:
            positions: Cartesian, angstrom, array or tensor; shape (n, 3).
            numbers: atomic numbers; shape (n,).
            bonds: of the batch.
        """
        return self._of(self._vectors(positions, bonds), numbers, bonds)

    def _vectors(self, positions: Any, bonds: Bonds) -> Tensor:
        place = torch.as_tensor(positions, dtype=torch.float32)
        vector = place[torch.from_numpy(bonds.first)] - place[torch.from_numpy(bonds.second)]
        return vector - torch.tensor(bonds.shift, dtype=torch.float32)

    def _of(self, vector: Tensor, numbers: Any, bonds: Bonds) -> tuple[FloatArray, Tensor]:
        half = len(bonds.first) // 2
        undirected = np.concatenate([np.arange(half), np.arange(half)])
        length = torch.linalg.vector_norm(vector, dim=1)
        site = self._energies(numbers, vector / length[:, None], length[:half], bonds, undirected)
        return site.detach().numpy().astype(float).ravel() + self._composition[numbers - 1], site

    def _energies(self, numbers: Any, unit: Tensor, length: Tensor, bonds: Bonds, undirected: Any) -> Tensor:
        model, count = self._model, len(numbers)
        expand = model.bond_basis_expansion
        wide, narrow_basis = expand.rbf_expansion_ag(length), None
        one, two = undirected[bonds.one], undirected[bonds.two]
        atom = model.atom_embedding(torch.from_numpy(numbers - 1))
        bond, weight = model.bond_embedding(wide), model.bond_weights_ag(wide)
        narrow = np.unique(one)  # only short bonds have angles
        rank = np.zeros(len(length), dtype=np.int64)
        rank[narrow] = np.arange(len(narrow))
        angles = len(one) > 0
        if angles:
            narrow_basis = expand.rbf_expansion_bg(length[torch.from_numpy(narrow)])
            short = model.bond_weights_bg(narrow_basis)
            legs = _take(unit, bonds.one), _take(unit, bonds.two)
            bend = model.angle_embedding(model.angle_basis_expansion(*legs))
        for n, atom_layer in enumerate(model.atom_conv_layers):
            message = self._atom[n](
                _Part(atom, bonds.first), _Part(bond, undirected), _Part(atom, bonds.second)
            ) * _take(weight, undirected)
            atom = atom_layer.mlp_out(_gather(message, bonds.first, count)) + atom
            if n == len(model.atom_conv_layers) - 1 or not angles:
                continue
            some = _take(bond, narrow)
            i, j = rank[one], rank[two]
            parts = _Part(some, i), _Part(some, j), _Part(bend, None), _Part(atom, bonds.center)
            update = self._bond[n](*parts) * _take(short, i) * _take(short, j)
            some = model.bond_conv_layers[n].mlp_out(_gather(update, i, len(narrow)))
            bond = bond + _gather(some, narrow, len(bond))
            if self._angle[n]:
                some = _take(bond, narrow)
                parts = _Part(some, i), _Part(some, j), _Part(bend, None), _Part(atom, bonds.center)
                bend = self._angle[n](*parts) + bend
        return model.mlp(model.readout_norm(atom))


class _Part:
    """Features and the rows of them that each bond or angle takes; None for all in order."""

    def __init__(self, features: Tensor, rows: Any) -> None:
        self.features = features
        self.rows = rows


class _Gated:
    """A gated perceptron over joined parts; core and gate share one first product."""

    def __init__(self, layer: Any, parts: int) -> None:
        core = [m for m in layer.mlp_core.layers if isinstance(m, torch.nn.Linear)]
        gate = [m for m in layer.mlp_gate.layers if isinstance(m, torch.nn.Linear)]
        weight = torch.cat([core[0].weight, gate[0].weight]).detach()
        self._first = [w.contiguous() for w in weight.chunk(parts, dim=1)]
        self._bias = torch.cat([core[0].bias, gate[0].bias]).detach()
        self._second = (core[1], gate[1]) if len(core) > 1 else None
        self._layer = layer

    def __call__(self, *parts: _Part) -> Tensor:
        total = self._bias
        for part, weight in zip(parts, self._first, strict=True):
            product = functional.linear(part.features, weight)
            total = total + (product if part.rows is None else _take(product, part.rows))
        if self._second is not None:
            total = functional.silu(total)
        core, gate = total.chunk(2, dim=1)
        if self._second is not None:
            core, gate = self._second[0](core), self._second[1](gate)
        return functional.silu(self._layer.bn1(core)) * torch.sigmoid(self._layer.bn2(gate))


class _Take(torch.autograd.Function):  # type: ignore[misc]
    """Rows of a matrix; its adjoint sums rows."""

    @staticmethod
    def forward(context: Any, features: Tensor, rows: Any) -> Tensor:
        context.rows, context.count = rows, len(features)
        return features.index_select(0, torch.from_numpy(rows))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _summed(gradients[0], context.rows, context.count), None


class _Gather(torch.autograd.Function):  # type: ignore[misc]
    """Sum of the rows that belong to each owner; its adjoint copies rows."""

    @staticmethod
    def forward(context: Any, features: Tensor, rows: Any, count: int) -> Tensor:
        context.rows = rows
        return _summed(features, rows, count)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].index_select(0, torch.from_numpy(context.rows)), None, None


def _take(features: Tensor, rows: Any) -> Tensor:
    taken: Tensor = _Take.apply(features, rows)
    return taken


def _gather(features: Tensor, rows: Any, count: int) -> Tensor:
    gathered: Tensor = _Gather.apply(features, rows, count)
    return gathered


def _summed(features: Tensor, rows: Any, count: int) -> Tensor:
    out = np.zeros((count, features.shape[1]), dtype=np.float32)
    _add_rows(features.detach().contiguous().numpy(), rows, out)
    return torch.from_numpy(out)


@numba.njit(cache=True, fastmath=False)
def _add_rows(features, rows, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for n in range(len(rows)):
        row = rows[n]
        for k in range(features.shape[1]):
            out[row, k] += features[n, k]

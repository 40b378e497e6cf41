"""The transfer models that ship, by name: band gap, formation energy, energy above hull, moduli."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np

from ionsmith.core.records import Candidate, Outcome
from ionsmith.core.registry import register
from ionsmith.predict.transfer import TransferModel
from ionsmith.represent.chgnet import CrystalView
from ionsmith.thermodynamics.phases import HullTable
from ionsmith.thermodynamics.references import ElementReferences


@register("model", "transfer_band_gap")
class TransferBandGap(TransferModel):
    """PBE band gap, eV: the chance of not being a metal times the gap if so; the scale of Materials Project.

    Beside the atoms its networks read what the formula alone says, learnt from many more formulas.
    """

    name = "transfer_band_gap"
    quantity = "band_gap"
    artifact = "transfer_band_gap"
    prior = True


@register("model", "transfer_formation_energy")
class TransferFormationEnergy(TransferModel):
    """Formation energy, eV/atom, Materials Project with corrections of 2020: CHGNet's answer, corrected."""

    name = "transfer_formation_energy"
    quantity = "formation_energy"
    artifact = "transfer_formation_energy"


@register("model", "transfer_bulk_modulus")
class TransferBulkModulus(TransferModel):
    """Bulk modulus, GPa (Voigt-Reuss-Hill, PBE), learnt as its logarithm together with the shear modulus."""

    name = "transfer_bulk_modulus"
    quantity = "bulk_modulus"
    artifact = "transfer_moduli"
    also = ("shear_modulus",)


@register("model", "transfer_shear_modulus")
class TransferShearModulus(TransferModel):
    """Shear modulus, GPa (Voigt-Reuss-Hill, PBE), learnt as its logarithm together with the bulk modulus."""

    name = "transfer_shear_modulus"
    quantity = "shear_modulus"
    artifact = "transfer_moduli"
    also = ("bulk_modulus",)


@register("model", "transfer_energy_above_hull")
class TransferEnergyAboveHull(TransferModel):
    """Energy above the hull of known phases, eV/atom, from the formation energy of the transfer network.

    The hull is the shipped reference hull. A material below it, which is as a rule a known stable compound whose
    energy came out a little low, is given zero. The spread of the formation energy grows by the error of the hull
    itself.
    """

    name = "transfer_energy_above_hull"
    quantity = "energy_above_hull"
    artifact = "transfer_formation_energy"

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the prediction for the same candidate could change."""
        return f"{super().fingerprint}-{HullTable.shipped().fingerprint}"

    @property
    def _learnt(self) -> str:
        return "formation_energy"

    def fit(self, outcomes: Sequence[Outcome], rng: np.random.Generator, beside: Sequence[Outcome] = ()) -> Self:
        """Learn formation energies; the hull is given.

        Args:
            outcomes: crystals with a ``formation_energy``.
            rng: random stream.
            beside: crystals of another release, see :meth:`TransferModel.fit`.

        Raises:
            InputError: too few crystals with a formation energy.
        """
        learner = TransferFormationEnergy(settings=self.settings, scratch=self.scratch)
        head, column = learner.fit(outcomes, rng, beside)._known()
        return self._become(head, column)

    def _decode(self, mean: float, std: float, candidate: Candidate, view: CrystalView) -> tuple[float, float]:
        energy, spread = super()._decode(mean, std, candidate, view)
        composition = candidate.composition
        above = HullTable.shipped().energy_above_hull(composition, energy).energy_above_hull
        return max(above, 0.0), math.hypot(spread, ElementReferences.shipped().spread.hull)

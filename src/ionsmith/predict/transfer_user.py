"""A head for the user's own quantity, started from shipped networks and kept in a folder of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from ionsmith.artifacts.cards import load_artifact
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.quantities import quantity as known_quantity
from ionsmith.core.registry import lookup
from ionsmith.learn.ensemble import EnsembleSettings
from ionsmith.predict.transfer import TransferModel
from ionsmith.predict.transfer_head import Head


class UserTransfer(TransferModel):
    """A transfer model of any quantity, learnt from the user's own crystals.

    Its networks start from those of a shipped model, so that a few dozen crystals are enough to learn from; the
    outputs start afresh where the quantity is another.
    """

    def __init__(
        self,
        *,
        name: str,
        quantity: str,
        start: str = "",
        settings: EnsembleSettings | None = None,
        scratch: str = "",
    ) -> None:
        """Store what is learnt and from where.

        Args:
            name: what its values are called.
            quantity: name of a quantity.
            start: registry name of the shipped transfer model whose networks are continued; empty starts afresh.
            settings: sizes and training; sizes come from the start where there is one.
            scratch: folder for checkpoints.

        Raises:
            InputError: an unknown quantity or start, or a start that is no transfer model.
            ArtifactError: the weights of the start are missing or damaged.
        """
        known_quantity(quantity, where="train")
        super().__init__(settings=settings, scratch=scratch)
        self.name, self.quantity = name, quantity
        if start:
            cls = lookup("model", start)
            if not issubclass(cls, TransferModel):
                raise InputError(f"train: expected a transfer model to start from, got {start!r}")
            self.prior = cls.prior
            networks = cls.load()._known()[0].ensemble.networks
            shape = networks[0].shape
            self.settings = replace(self.settings, members=len(networks), hidden=shape.hidden, queries=shape.queries)
            self._start = networks

    @classmethod
    def load(cls, *, folder: Path | None = None) -> Self:
        """Return a model that ``ionsmith train`` wrote.

        Args:
            folder: the model's own folder.

        Raises:
            InputError: no folder given.
            ArtifactError: it holds no such model, or is damaged.
        """
        if folder is None:
            raise InputError("expected the folder that ionsmith train wrote, got none")
        artifact = load_artifact(folder.name, folder=folder.parent)
        card: Mapping[str, Any] = artifact.card
        try:
            model = cls(name=str(card["model"]), quantity=str(card["quantity"]))
            model.prior = bool(card.get("prior", False))
            return model._become(Head.restore(artifact.arrays, card["settings"]), 0)
        except KeyError as error:
            raise ArtifactError(
                f"{folder}: expected a model that ionsmith train wrote, {error} is missing"
            ) from error

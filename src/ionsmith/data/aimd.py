"""AIMD displacements of nine superionic candidates at four temperatures (Kang, Kim and Min 2023)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ionsmith.core.errors import DataError
from ionsmith.core.records import FloatArray
from ionsmith.data.files import DataCard, DataFile, add_card

_FIELDS = (
    *("lattice", "species", "frac_coords", "displacements"),
    *("temperature_K", "time_step_fs", "step_skip", "specie"),
)

_CHECKSUMS = {
    "mp-1106183_1100K": "92efb07cfc292dcfd9a0bd8e83d42c8ed7c507e096617b41f5ae7d9d986a3845",
    "mp-1106183_1400K": "c3345e00452d7e75c668f89b909f1c5403a15c335b29340883a231e0860d28d5",
    "mp-1106183_1700K": "48e47bbbeeec7cbba664218076ad6086697667cb404e439fd345c7e3d12f6470",
    "mp-1106183_800K": "d385d9f942dd3b4515d629ace7d4d6ae4c48457cebaa40487da39369b95a6d50",
    "mp-1195055_1100K": "2605b51fc255b921f1a00deb5c9d31809f58a74a5d9df9a31f3320b1a172afa0",
    "mp-1195055_1400K": "33ebd09141faca39dbf2cb4de42cd8e05673b9dcd0f5418efa6671a7f24eea7b",
    "mp-1195055_1700K": "c25a9a6e5f36488bcacb48efc8706ee127dc858ac5db6694173c76659237bd1e",
    "mp-1195055_800K": "8881c85eb242309d515baedb25ffbbf25e35bd95c20b78bb98c9312ff40f94a6",
    "mp-1222404_1100K": "5509481d9b0098ca5151128f56d184dc67c023be688cf4bef0667214487975f9",
    "mp-1222404_1400K": "a36c943c8b403099e163c8dc9806dd3337de6105ae2aeb9f5b5fe0aa03c536e1",
    "mp-1222404_1700K": "d89888436f04bec1050cde598ab1ee073cfd91a2d00cdc62ffc2d44764aba62a",
    "mp-1222404_800K": "0a5506d7947fd737d61435644364bf2dd0b5581ad781e7f6a99d467509df63dc",
    "mp-1222492_1100K": "730260cd4fb65fe324d226f7a18935d41a77046f73593bac18d0c58d82f087cc",
    "mp-1222492_1400K": "c623a3bb53873a066c7928c37ea39b0f8e744375518d386180d61e3cb3895aef",
    "mp-1222492_1700K": "4ceed718b29d77e220105dcb198e9adb0689475adfe0a2cf55ab9bbdebc78376",
    "mp-1222492_800K": "c49be8b0db57bd48c62eb3d5a75f6093432812b8bcd89bd0da10b6bf07f4183b",
    "mp-19896_1100K": "d25f369f95d6f8c23a9ca63161ffba6f2614a6de51d8fa58db1d8bb7cd8bb89d",
    "mp-19896_1400K": "f6a9ef0adeb65fcc0377bb9875ba51a0bd52e02b11196bbac3f8939020e46946",
    "mp-19896_1700K": "b0725f9613d389687b514064bdf713743da56e0b6bb269ab7dd601c882ba30bb",
    "mp-19896_800K": "d0bf2ab6af622b61e6ec0dd9f8634534d89b4db02108d4d0cd51c4a4f943dd54",
    "mp-29410_1100K": "a7fe3ebdf8d40acfc095da3d3da465c528185077959d56fed691c8f3a0b78347",
    "mp-29410_1400K": "1621b01499cc54e2ca9ad473a4e493d07c3101bd5af8fb9f7a7d10046a7b7267",
    "mp-29410_1700K": "735c2f2280ce9735d86a28a907e57046f08709f6972d9a9798c46d7deff099ba",
    "mp-29410_800K": "f429f5980c3f76184c74273a00dc56bbf1ab4cab2bb67cb5bf8d4be75141275c",
    "mp-532413_1100K": "856cb5b88fd26bb2f75af3e92a7e0e0eb0b9ce5c876eff7cbf6dd82a840fff2b",
    "mp-532413_1400K": "62f4fa7b13cc0e46607f43cbec726cb8b0acacd9f85d5f8939f4875fdb9b8028",
    "mp-532413_1700K": "12f0adfd04541860d938b0db94a070479fc2f928ae89cc76b00dee2765e8fb77",
    "mp-532413_800K": "a319695689c5797aed8838852874de984832baf1a88261708d11b3d1894969bb",
    "mp-557892_1100K": "71e712e0133d540d545f00ee567a5c5fe78283a6afa207a00220972bcd9921e5",
    "mp-557892_1400K": "23f6b5c54d13e539a3ec7c270215458adff497717f86fe4e5a68f67385c5c5c4",
    "mp-557892_1700K": "2c78ec67ff6a70952f8e816fdddef089cd0d0f1d957325c9ab0c69f9e2feb5ff",
    "mp-557892_800K": "7178b255feb9909e0a91a4a717ac3d9db812bae5cf457ea346bd454f6313899e",
    "mp-676361_1100K": "bfefe709ead01c0c6909db11929cb1e266a73850447f910524dd122d73863b29",
    "mp-676361_1400K": "fa540e93f6db8d955d947e19aff98e632238b1b229edb6c67a00e88fea40dadb",
    "mp-676361_1700K": "3070559b9b7a0e8bae1620f12fd0237095e7891c56f8bf41c106f17b683d8802",
    "mp-676361_800K": "e3a979d338c4e1e690b31d6b42a5ba2473beec89f0a1a2f23ca89d765e233340",
}

CARD = add_card(
    DataCard(
        name="aimd",
        title="AIMD displacements of 9 lithium and sodium superionic candidates at 800, 1100, 1400 and 1700 K",
        licence="not stated",
        source="https://github.com/kminmin/LiSSE-MP",
        citation="Kang, Kim, Min, J. Phys. Chem. C 127, 19335 (2023), doi 10.1021/acs.jpcc.3c02908",
        traps=(
            "mp-19896 at 1700 K is the 8-atom unit cell, 64 atoms at the other temperatures",
            "60 ps are short: slow materials at 800 K have few hops",
            "displacements are rounded to 0.001 angstrom",
        ),
        files=MappingProxyType(
            {name: DataFile(f"kang2023_sse/aimd/{name}.npz", digest) for name, digest in _CHECKSUMS.items()}
        ),
    )
)


@dataclass(frozen=True)
class AimdRun:
    """One run.

    Attributes:
        material: Materials Project id.
        species: element of each atom.
        lattice: rows are the cell vectors, angstrom; shape (3, 3).
        fractional: starting positions; shape (atoms, 3).
        displacements: Cartesian, unwrapped, drift taken out, angstrom; shape (frames, atoms, 3).
        interval: time between frames, ps.
        step_fs: time step of the integration, fs.
        skip: steps between frames.
        temperature: K.
        mobile: the ion that moves.
    """

    material: str
    species: tuple[str, ...]
    lattice: FloatArray
    fractional: FloatArray
    displacements: FloatArray
    interval: float
    step_fs: float
    skip: int
    temperature: float
    mobile: str


def load_aimd() -> tuple[AimdRun, ...]:
    """Return all 36 runs, by material and temperature.

    Raises:
        DataError: a file is absent, damaged or has an unexpected layout.
    """
    return tuple(sorted((_read(name) for name in CARD.files), key=lambda run: (run.material, run.temperature)))


def _read(name: str) -> AimdRun:
    match = re.fullmatch(r"(mp-\d+)_\d+K", name)
    with np.load(CARD.path(name), allow_pickle=False) as held:
        missing = [field for field in _FIELDS if field not in held]
        if missing or match is None:
            raise DataError(f"data set aimd: {name}: expected {', '.join(_FIELDS)}; missing {', '.join(missing)}")
        step, skip = float(held["time_step_fs"]), int(held["step_skip"])
        return AimdRun(
            match.group(1),
            tuple(str(s) for s in held["species"]),
            np.asarray(held["lattice"], dtype=float),
            np.asarray(held["frac_coords"], dtype=float),
            np.asarray(held["displacements"], dtype=float).transpose(1, 0, 2),
            step * skip / 1000.0,
            step,
            skip,
            float(held["temperature_K"]),
            str(held["specie"]),
        )

"""Where a public data file is on this machine: in a local mirror, in the cache, or fetched from its source."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.quantities import suggestion

MIRROR_VARIABLE = "IONSMITH_DATA"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataFile:
    """One file of a public data set.

    Attributes:
        path: place relative to the mirror folder, and in the cache.
        sha256: checksum of the file in the mirror's packing; a download must match it too.
        url: official address of the same file; empty where the source ships it in another packing, so that
            only a mirror can serve it.
    """

    path: str
    sha256: str
    url: str = ""


@dataclass(frozen=True)
class DataCard:
    """What a user must know about a data set before trusting it.

    Attributes:
        name: what ``ionsmith data fetch`` calls it.
        title: one line.
        licence: as stated by the source; ``not stated`` bars it from training what ships.
        source: home of the data.
        citation: reference with DOI or arXiv number.
        traps: one line each.
        files: its files, by short name.
    """

    name: str
    title: str
    licence: str
    source: str
    citation: str
    traps: tuple[str, ...]
    files: Mapping[str, DataFile]

    def path(self, file: str) -> Path:
        """Return the local path of one file, verified against its checksum; fetch it if need be.

        Args:
            file: short name, a key of ``files``.

        Raises:
            InputError: no such file in this data set.
            DataError: absent and not to be fetched, or its checksum differs.
        """
        if file not in self.files:
            raise InputError(f"data set {self.name}: unknown file {file!r}{suggestion(file, self.files)}")
        return local_path(self.files[file], dataset=self.name)


_cards: dict[str, DataCard] = {}


def add_card(card: DataCard) -> DataCard:
    """Make a data set known to ``ionsmith data``; returns the card.

    Args:
        card: the data set's card.
    """
    _cards[card.name] = card
    return card


def cards() -> Mapping[str, DataCard]:
    """Return name to card of every data set whose loader has been imported."""
    return MappingProxyType(dict(sorted(_cards.items())))


def local_path(file: DataFile, *, dataset: str) -> Path:
    """Return where a data file lies: the mirror named by ``IONSMITH_DATA``, else the cache, else a download.

    Args:
        file: the file wanted.
        dataset: name for messages.

    Raises:
        DataError: absent and not to be fetched, or its checksum differs.
    """
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if mirror:
        path = Path(mirror) / file.path
        if path.is_file():
            return _verified(path, file, dataset=dataset)
    if not file.url:
        raise DataError(
            f"data set {dataset}: {file.path} is only served by a mirror; expected it under the folder in "
            f"{MIRROR_VARIABLE}, which is {mirror or 'not set'}"
        )
    return _download(file, dataset=dataset)


def _verified(path: Path, file: DataFile, *, dataset: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"data set {dataset}: {file.path} expected sha256 {file.sha256[:12]}..., found {found[:12]}... in {path}"
        )
    return path


def _download(file: DataFile, *, dataset: str) -> Path:
    import platformdirs
    import pooch

    cache = Path(platformdirs.user_cache_dir("ionsmith")) / Path(file.path).parent
    try:
        found = pooch.retrieve(
            file.url, known_hash=f"sha256:{file.sha256}", fname=Path(file.path).name, path=cache, progressbar=False
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"data set {dataset}: could not fetch {file.url}: {reason}") from error
    _log.info("fetched %s", file.url)
    return Path(found)


def check_columns(rows: Sequence[Mapping[str, str]], columns: Sequence[str], *, where: str) -> None:
    """Refuse a table without the columns that its reader needs; an empty table passes.

    Args:
        rows: column name to cell text.
        columns: names that must be there.
        where: name of the data set for the message.

    Raises:
        DataError: the first missing column.
    """
    for name in columns:
        if rows and name not in rows[0]:
            raise DataError(f"{where}: expected a column {name!r}, got {', '.join(rows[0])}")

"""Artifact folders: what is written comes back, and every kind of damage is refused with one line."""

import json

import numpy as np
import pytest

from ionsmith.artifacts.cards import ARRAYS_FILE, CARD_FILE, SHIPPED, load_artifact, read_card, save_artifact
from ionsmith.core.errors import ArtifactError, InputError

ARRAYS = {"b": np.arange(6, dtype=np.int16).reshape(2, 3), "a": np.linspace(0.0, 1.0, 4, dtype=np.float32)}
CARD = {
    "title": "toy",
    "data": [{"name": "toy", "licence": "CC BY 4.0", "source": "here"}],
    "split": "all rows",
    "metrics": {"mae": 0.5},
    "command": "ionsmith train toy",
    "date": "2026-01-01",
}


@pytest.fixture
def saved(tmp_path):
    return save_artifact("toy", ARRAYS, card=CARD, folder=tmp_path)


def test_arrays_and_card_come_back(saved, tmp_path):
    artifact = load_artifact("toy", folder=tmp_path)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(artifact.arrays[name], array)
        assert artifact.arrays[name].dtype == array.dtype
    assert artifact.card["metrics"] == {"mae": 0.5}
    assert artifact.fingerprint == artifact.card["sha256"][:16]
    assert read_card("toy", folder=tmp_path) == artifact.card


def test_same_content_gives_same_bytes(saved, tmp_path):
    before = [(saved / name).read_bytes() for name in (ARRAYS_FILE, CARD_FILE)]
    save_artifact("toy", dict(reversed(ARRAYS.items())), card=CARD, folder=tmp_path)
    assert before == [(saved / name).read_bytes() for name in (ARRAYS_FILE, CARD_FILE)]


def test_date_defaults_to_a_date(tmp_path):
    card = {key: value for key, value in CARD.items() if key != "date"}
    save_artifact("toy", ARRAYS, card=card, folder=tmp_path)
    assert len(read_card("toy", folder=tmp_path)["date"]) == len("2026-01-01")


def test_saving_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="at least one array"):
        save_artifact("toy", {}, card=CARD, folder=tmp_path)


@pytest.mark.parametrize("key", sorted(set(CARD) - {"date"}))
def test_a_card_that_lacks_a_key_is_not_written(key, tmp_path):
    with pytest.raises(InputError, match=key):
        save_artifact("toy", ARRAYS, card={k: v for k, v in CARD.items() if k != key}, folder=tmp_path)
    assert not (tmp_path / "toy").exists()


def test_data_without_licence_is_not_written(tmp_path):
    with pytest.raises(InputError, match="missing licence"):
        save_artifact("toy", ARRAYS, card={**CARD, "data": [{"name": "x", "source": "y"}]}, folder=tmp_path)


def test_missing_artifact_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="nowhere"):
        load_artifact("nowhere", folder=tmp_path)


def test_one_changed_byte_is_found(saved, tmp_path):
    body = bytearray((saved / ARRAYS_FILE).read_bytes())
    body[-1] ^= 1
    (saved / ARRAYS_FILE).write_bytes(bytes(body))
    with pytest.raises(ArtifactError, match="sha256"):
        load_artifact("toy", folder=tmp_path)


def _rewrite(saved, **changes):
    card = json.loads((saved / CARD_FILE).read_text())
    (saved / CARD_FILE).write_text(json.dumps({**card, **changes}))


def test_arrays_must_match_the_card(saved, tmp_path):
    _rewrite(saved, arrays={"a": ["float32", [4]], "b": ["int16", [3, 2]]})
    with pytest.raises(ArtifactError, match="arrays b differ"):
        load_artifact("toy", folder=tmp_path)


def test_unknown_schema_is_refused(saved, tmp_path):
    _rewrite(saved, schema=99)
    with pytest.raises(ArtifactError, match="schema 1, got 99"):
        load_artifact("toy", folder=tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_card_that_is_no_mapping_is_refused(saved, tmp_path, text):
    (saved / CARD_FILE).write_text(text)
    with pytest.raises(ArtifactError, match="artifact toy"):
        read_card("toy", folder=tmp_path)


def test_a_file_of_another_format_is_refused(saved, tmp_path):
    import hashlib

    (saved / ARRAYS_FILE).write_bytes(b"not tensors")
    _rewrite(saved, sha256=hashlib.sha256(b"not tensors").hexdigest())
    with pytest.raises(ArtifactError, match="safetensors"):
        load_artifact("toy", folder=tmp_path)


@pytest.mark.parametrize("name", sorted(p.parent.name for p in SHIPPED.glob(f"*/{CARD_FILE}")))
def test_every_shipped_artifact_is_sound(name):
    artifact = load_artifact(name)
    assert artifact.card["name"] == name

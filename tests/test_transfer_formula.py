"""What the formula says about the gap: every formula is answered by the network that has not learnt from it."""

import numpy as np
import pytest

from ionsmith.core.errors import ArtifactError
from ionsmith.learn.ensemble import EnsembleSettings
from ionsmith.learn.trainer import Training
from ionsmith.predict.transfer_formula import FEATURES, FOLDS, FormulaPrior, fit_prior, fold_of, formula_crowd
from ionsmith.testing import formula, rock_salt

CARD = {
    "data": [{"name": "toys", "licence": "ours", "source": "here"}],
    "split": "none",
    "metrics": {},
    "command": "x",
}
METALS, ANIONS = ("Li", "Na", "K", "Rb", "Mg", "Ca", "Sr", "Ba", "Fe", "Ni"), ("F", "Cl", "Br", "O")
TOYS = [formula(f"{metal}{count}{anion}") for metal in METALS for anion in ANIONS for count in ("", "2")]
GAPS = np.array([0.0 if "Fe" in c.formula or "Ni" in c.formula else 4.0 for c in TOYS])
SMALL = EnsembleSettings(hidden=16, queries=2, training=Training(epochs=15, batch=16, rate=1e-2))


@pytest.fixture(scope="module")
def fitted():
    return fit_prior(TOYS, GAPS[:, None], settings=SMALL, rng=np.random.default_rng(0))


def test_formulas_teach_their_gap(fitted):
    prior, errors = fitted
    assert len(prior.networks) == len(errors) == FOLDS
    product = prior.features(TOYS)[:, 2]
    assert np.abs(product - GAPS).mean() < np.abs(GAPS - GAPS.mean()).mean()


def test_a_second_source_of_gaps_teaches_but_does_not_answer():
    known = np.arange(len(TOYS)) % 3 > 0
    gaps = np.column_stack([np.where(known, GAPS, np.nan), GAPS / 2.0])
    prior, _ = fit_prior(TOYS, gaps, settings=SMALL, rng=np.random.default_rng(0))
    features = prior.features(TOYS)
    assert prior.networks[0].shape.outputs == 4
    assert features.shape == (len(TOYS), FEATURES)
    assert features[GAPS > 0.0, 2].mean() == pytest.approx(4.0, abs=1.2)
    assert np.allclose(features[:, 2], np.log1p(np.exp(features[:, 1])) / (1.0 + np.exp(-features[:, 0])))


def test_the_answer_is_that_of_the_network_which_left_the_fold_out(fitted):
    import torch

    prior, _ = fitted
    for candidate in TOYS[:6]:
        network = prior.networks[fold_of(candidate.formula)]
        with torch.no_grad():
            expected = network(formula_crowd([candidate]).take(np.array([0])).double()).numpy()[0]
        assert np.allclose(prior.features([candidate])[0, :2], expected)


def test_a_crystal_and_its_formula_say_the_same(fitted):
    prior, _ = fitted
    assert np.allclose(prior.features([rock_salt()]), prior.features([formula("LiF")]))


def test_stored_networks_answer_the_same(fitted, tmp_path):
    prior, _ = fitted
    prior.save(card=CARD, folder=tmp_path)
    assert np.array_equal(FormulaPrior.load(folder=tmp_path).features(TOYS), prior.features(TOYS))
    card = tmp_path / "transfer_formula" / "card.json"
    card.write_text(card.read_text().replace('"shape"', '"form"'))
    with pytest.raises(ArtifactError, match="shape"):
        FormulaPrior.load(folder=tmp_path)

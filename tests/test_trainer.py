"""The trainer, the attention network, the ensemble and the spread, on toys whose answers are known."""

import numpy as np
import pytest
import torch

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.learn.ensemble import Ensemble, EnsembleSettings, TargetKind, Targets, fit_ensemble
from ionsmith.learn.network import (
    AttentionNetwork,
    Crowd,
    Shape,
    from_arrays,
    segment_softmax,
    shape_settings,
    to_arrays,
    together,
    without_each_atom,
)
from ionsmith.learn.spread import SpreadModel
from ionsmith.learn.trainer import Training, train

QUICK = Training(epochs=12, batch=16, rate=5e-3, patience=12, average=0.9)


def toy(n=120, seed=0):
    """Crystals of 1 to 5 atoms whose value is the mean of the atoms' first feature."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, n)
    atoms = rng.normal(size=(sizes.sum(), 4)).astype(np.float32)
    owner = np.repeat(np.arange(n), sizes)
    value = np.bincount(owner, weights=atoms[:, 0]) / sizes
    return Crowd(atoms, np.ones(len(atoms), np.float32), sizes, np.zeros((n, 1), np.float32)), value


def squares(crowd, value):
    wanted = torch.from_numpy(value.astype(np.float32))

    def loss(network, rows):
        return (network(crowd.take(rows))[:, 0] - wanted[torch.from_numpy(rows)]).abs().mean()

    return loss


def network(seed=0, outputs=1):
    torch.manual_seed(seed)
    return AttentionNetwork(Shape(4, 1, outputs, hidden=16, queries=2, dropout=0.1))


def run(settings=QUICK, checkpoint=None, score=None):
    crowd, value = toy()
    rows = np.arange(90)
    loss = squares(crowd, value)
    held = np.arange(90, 120)
    judge = score or (lambda n: float(loss(n, held)))
    start = network().scale(crowd, rows)
    return train(
        start, rows, loss, score=judge, settings=settings, rng=np.random.default_rng(1), checkpoint=checkpoint
    )


def test_training_learns():
    trained, history = run(Training(epochs=40, batch=16, rate=5e-3, average=0.9))
    assert history.best_score < 0.5 * history.scores[0]
    assert not trained.training


def test_equal_streams_give_equal_weights():
    one, two = run()[0].state_dict(), run()[0].state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_resumed_training_gives_the_weights_of_an_unbroken_one(tmp_path):
    whole = run()[0].state_dict()
    calls = []

    def stop_after_five(judged):
        calls.append(1)
        if len(calls) > 5:
            raise KeyboardInterrupt
        crowd, value = toy()
        return float(squares(crowd, value)(judged, np.arange(90, 120)))

    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path / "c.pt", score=stop_after_five)
    resumed, history = run(checkpoint=tmp_path / "c.pt")
    assert len(history.scores) == QUICK.epochs
    assert all(torch.equal(whole[name], tensor) for name, tensor in resumed.state_dict().items())


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    run(Training(epochs=1, batch=16), checkpoint=tmp_path / "c.pt")
    with pytest.raises(ArtifactError, match="other settings"):
        run(Training(epochs=2, batch=16), checkpoint=tmp_path / "c.pt")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"PK not a checkpoint")
    with pytest.raises(ArtifactError, match="cannot be continued"):
        run(checkpoint=tmp_path / "c.pt")


def test_training_stops_when_nothing_improves():
    scores = iter([1.0, 0.5] + [0.9] * 100)
    _, history = run(Training(epochs=50, batch=64, patience=3), score=lambda n: next(scores))
    assert history.best == 1
    assert len(history.scores) == 5


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"rate": 0.0}, {"average": 1.0}, {"patience": 0}])
def test_useless_training_settings_are_refused(bad):
    with pytest.raises(InputError, match="training"):
        Training(**bad)


def test_nothing_to_learn_from_is_refused():
    crowd, value = toy()
    with pytest.raises(InputError, match="expected rows"):
        train(
            network(),
            np.arange(0),
            squares(crowd, value),
            score=lambda n: 0.0,
            settings=QUICK,
            rng=np.random.default_rng(0),
        )


def test_softmax_per_owner_sums_to_one():
    owner = torch.tensor([0, 0, 1, 2, 2, 2])
    weights = segment_softmax(torch.randn(6, 3), owner, 3)
    total = torch.zeros(3, 3).index_add_(0, owner, weights)
    assert torch.allclose(total, torch.ones(3, 3))


def test_a_doubled_cell_and_another_order_give_the_same_answer():
    model = network().double().eval()
    atoms = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    crystal = np.zeros((1, 1), np.float32)
    cells = [
        Crowd(atoms, np.ones(3), np.array([3]), crystal),
        Crowd(np.vstack([atoms[::-1], atoms]), np.ones(6), np.array([6]), crystal),
        Crowd(atoms, np.full(3, 2.0), np.array([3]), crystal),
    ]
    found = [float(model(cell.take(np.array([0])).double())[0, 0].detach()) for cell in cells]
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    assert found[0] == pytest.approx(found[2], abs=1e-12)


def test_taking_rows_in_any_order_keeps_atoms_with_their_crystal():
    crowd, _ = toy()
    batch = crowd.take(np.array([7, 2]))
    ends = np.cumsum(crowd.sizes)
    assert np.array_equal(batch.atoms[: crowd.sizes[7]].numpy(), crowd.atoms[ends[7] - crowd.sizes[7] : ends[7]])
    assert batch.owner.tolist() == [0] * crowd.sizes[7] + [1] * crowd.sizes[2]


@pytest.mark.parametrize("sizes", [[2, 2], [0, 3]])
def test_a_crowd_that_does_not_add_up_is_refused(sizes):
    with pytest.raises(InputError, match="expected"):
        Crowd(np.zeros((3, 4)), np.ones(3), np.array(sizes), np.zeros((2, 1)))


def test_weights_survive_storage_up_to_half_precision():
    model = network()
    stored = to_arrays(model, prefix="a.")
    back = from_arrays(stored, shape_settings(model.shape), prefix="a.")
    crowd, _ = toy()
    batch = crowd.take(np.arange(20))
    with torch.no_grad():
        assert np.allclose(model.eval()(batch), back(batch.double()), atol=5e-3)
    with pytest.raises(ArtifactError, match="expected the arrays"):
        from_arrays({}, shape_settings(model.shape), prefix="a.")


def ensemble(kind=TargetKind.PLAIN, scratch=None):
    crowd, value = toy(200)
    value = np.maximum(value, 0.0) if kind is TargetKind.ZERO_INFLATED else value
    values = np.column_stack([value, np.where(np.arange(200) % 2, value, np.nan)])
    targets = Targets.fit(("a", "b"), (kind, TargetKind.PLAIN), values)
    settings = EnsembleSettings(members=2, hidden=16, queries=2, training=Training(epochs=25, batch=16, rate=5e-3))
    found, histories = fit_ensemble(
        crowd,
        values,
        np.arange(150, 200),
        targets,
        settings=settings,
        rng=np.random.default_rng(0),
        scratch=scratch,
    )
    return crowd, values, found, histories


@pytest.mark.parametrize("kind", list(TargetKind))
def test_an_ensemble_learns_both_targets_despite_gaps(kind, tmp_path):
    crowd, values, found, histories = ensemble(kind, tmp_path)
    votes = found.predict(crowd)
    assert votes.shape == (2, 200, 2)
    assert np.abs(votes[:, 150:].mean(axis=0)[:, 0] - values[150:, 0]).mean() < 0.7 * np.abs(values[150:, 0]).mean()
    assert not np.allclose(votes[0], votes[1])
    assert {path.name for path in tmp_path.iterdir()} == {"member-0.pt", "member-1.pt"}
    assert all(len(history.scores) > 1 for history in histories)
    assert (votes[:, :, 0] >= 0.0).all() or kind is TargetKind.PLAIN


def test_a_stored_ensemble_predicts_exactly_the_same():
    crowd, _, found, _ = ensemble()
    again = Ensemble.restore(found.arrays(prefix="x."), found.settings(), prefix="x.")
    assert np.array_equal(found.predict(crowd), again.predict(crowd))
    with pytest.raises(ArtifactError, match="missing or wrong"):
        Ensemble.restore({}, found.settings())


def test_networks_together_say_what_each_says_alone():
    crowd, _, found, _ = ensemble()
    batch = crowd.take(np.array([3, 50, 7])).double()
    with torch.no_grad():
        alone = torch.stack([network(batch) for network in found.networks])
        assert together(found.networks)(batch).numpy() == pytest.approx(alone.numpy(), abs=1e-12)


def test_leaving_out_the_only_unusual_atom_gives_the_usual_answer():
    _, _, found, _ = ensemble()
    usual, unusual = np.zeros((1, 4), np.float32), np.array([[3.0, 0, 0, 0]], np.float32)
    pair = Crowd(np.vstack([usual, unusual]), np.array([3.0, 1.0]), np.array([2]), np.zeros((1, 1), np.float32))
    alone = Crowd(usual, np.ones(1), np.array([1]), np.zeros((1, 1), np.float32))
    without = found.predict(without_each_atom(pair)).mean(axis=0)
    assert without[1] == pytest.approx(found.predict(alone).mean(axis=0)[0])
    with pytest.raises(InputError, match="at least two"):
        without_each_atom(alone)


def test_targets_and_ensembles_refuse_nonsense():
    with pytest.raises(InputError, match="values of b"):
        Targets.fit(("a", "b"), (TargetKind.PLAIN,) * 2, np.array([[1.0, np.nan]]))
    with pytest.raises(InputError, match="ensemble"):
        EnsembleSettings(members=0)
    crowd, value = toy(10)
    values = np.where(np.arange(10) < 5, value, np.nan)[:, None]
    targets = Targets.fit(("a",), (TargetKind.PLAIN,), values)
    with pytest.raises(InputError, match="validation rows"):
        fit_ensemble(
            crowd, values, np.arange(5, 10), targets, settings=EnsembleSettings(), rng=np.random.default_rng(0)
        )


def test_spread_covers_what_it_says():
    rng = np.random.default_rng(0)
    signals = np.exp(rng.normal(size=(4000, 2)))
    true = 0.3 * signals[:, 0]
    fitted = SpreadModel.fit(signals[:2000], (rng.normal(size=4000) * true)[:2000])
    sigma = fitted(signals[2000:])
    assert np.median(sigma / true[2000:]) == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(np.log(sigma), np.log(true[2000:]))[0, 1] > 0.99
    beyond = fitted(np.full((1, 2), 1e9))
    assert beyond[0] == pytest.approx(fitted(fitted.high[None])[0])


def test_spread_refuses_what_has_no_logarithm():
    with pytest.raises(InputError, match="positive signals"):
        SpreadModel.fit(np.zeros((3, 1)), np.ones(3))
    with pytest.raises(InputError, match="positive signals"):
        SpreadModel.fit(np.ones((0, 1)), np.ones(0))

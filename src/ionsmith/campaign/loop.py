"""The one loop: ask a source, predict, select, climb the ladder, tell the source, and rank what came out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ionsmith.campaign.ledger import Ledger
from ionsmith.campaign.tally import Tally, Track, by_key
from ionsmith.campaign.worker import Climb, predict_one_by_one
from ionsmith.core.errors import ExecutionError
from ionsmith.core.protocols import Executor, Generator, Objective, Observer, PropertyModel, Simulator
from ionsmith.core.records import Candidate, Outcome, Status
from ionsmith.core.results import Row, StageCount

_BATCH = 256
_ORDER = {Status.OK: 0, Status.REJECTED: 1, Status.FAILED: 2}


@dataclass(frozen=True)
class Limits:
    """How much a campaign may do.

    Attributes:
        candidates: most candidates that are looked at.
        simulations: most different materials that enter the ladder.
        rounds: number of rounds of ask and tell.
    """

    candidates: int
    simulations: int
    rounds: int = 1


class Silent:
    """An observer that says nothing."""

    def start(self, stage: str, total: int) -> None:
        """Ignore the start of a stage."""

    def done(self, stage: str, status: Status) -> None:
        """Ignore the end of a candidate's stage."""


@dataclass(frozen=True)
class Campaign:
    """Everything a campaign works with; only protocols, never a concrete method.

    Attributes:
        models: cheap predictors, in order.
        ladder: simulators, cheap ones first.
        objective: the judge of every stage.
        ledger: where each Outcome goes and where finished work is found.
        executor: where simulations run.
        observer: hears the progress.
        look_again: whether the models judge crystals that passed the ladder once more as it left them: right for
            proposals, whose geometry is a guess, and wrong for measured crystals.
    """

    models: Sequence[PropertyModel]
    ladder: Sequence[Simulator]
    objective: Objective
    ledger: Ledger
    executor: Executor
    observer: Observer = field(default_factory=Silent)
    look_again: bool = False


def run_campaign(
    source: Generator, campaign: Campaign, *, limits: Limits, seed: int = 0
) -> tuple[tuple[Row, ...], tuple[StageCount, ...]]:
    """Run a campaign and return one row per proposal, and the counts per stage.

    Work that the ledger already holds is not repeated; since each round draws from its own random stream, a run
    that was killed proposes the same candidates again and ends with the same rows.

    Args:
        source: a pool of readings or a learning generator.
        campaign: models, ladder, objective, ledger, executor.
        limits: how much may be done.
        seed: start of all random streams.
    """
    tally, tracks = Tally(), list[Track]()
    for stage in _stages(campaign):
        tally.open(stage)
    share, room = -(-limits.candidates // limits.rounds), limits.simulations
    for number in range(limits.rounds):
        rng = np.random.default_rng([seed, number])
        wanted = min(share, limits.candidates - len(tracks))
        fresh = _read(source.ask(wanted, rng), campaign, tally, first=len(tracks))
        tracks.extend(fresh)
        _admit(fresh, campaign, tally)
        _predict(fresh, campaign, tally)
        chosen = _select(fresh, campaign, tally, most=-(-room // (limits.rounds - number)))
        room -= len(by_key(chosen))
        for simulator in campaign.ladder:
            chosen = _climb(simulator, chosen, campaign, tally)
        if campaign.look_again:
            _look_again(chosen, campaign)
        source.tell([track.outcome for track in fresh], rng)
        if len(fresh) < wanted:
            break
    return _rank(tracks, campaign.objective), tally.funnel()


def _stages(campaign: Campaign) -> list[str]:
    predict = ["predict"] if campaign.models else []
    select = ["select"] if campaign.ladder else []
    return ["read", "admit", *predict, *select, *(simulator.name for simulator in campaign.ladder)]


def _alive(tracks: Iterable[Track]) -> list[Track]:
    return [track for track in tracks if track.alive]


def _close(stage: str, track: Track, campaign: Campaign, tally: Tally) -> None:
    tally.add(stage, track.outcome.status)
    campaign.observer.done(stage, track.outcome.status)


def _read(readings: Sequence[Outcome], campaign: Campaign, tally: Tally, *, first: int) -> list[Track]:
    campaign.observer.start("read", len(readings))
    tracks = []
    for position, reading in enumerate(readings, first):
        track = Track(position, reading.candidate.key, reading, reading.candidate.formula, hops=["read"])
        campaign.ledger.add_input(position, reading)
        _close("read", track, campaign, tally)
        tracks.append(track)
    return tracks


def _admit(tracks: list[Track], campaign: Campaign, tally: Tally) -> None:
    alive = _alive(tracks)
    campaign.observer.start("admit", len(alive))
    for track in alive:
        if reason := campaign.objective.admit(track.outcome.candidate):
            track.drop("admit", reason)
        _close("admit", track, campaign, tally)


def _predict(tracks: list[Track], campaign: Campaign, tally: Tally) -> None:
    if not campaign.models:
        return
    groups = by_key(_alive(tracks))
    campaign.observer.start("predict", sum(map(len, groups.values())))
    keys = list(groups)
    for start in range(0, len(keys), _BATCH):
        batch = {key: groups[key] for key in keys[start : start + _BATCH]}
        for model in campaign.models:
            _predict_batch(model, batch, campaign)
        for track in (track for group in batch.values() for track in group):
            _judge("predict", track, campaign)
            _close("predict", track, campaign, tally)


def _predict_batch(model: PropertyModel, batch: dict[str, list[Track]], campaign: Campaign) -> None:
    asked = {key: group[0].outcome.candidate for key, group in batch.items() if group[0].alive}
    for key, found in _predictions(model, asked, campaign).items():
        _absorb(model.name, batch[key], found)


def _predictions(model: PropertyModel, asked: dict[str, Candidate], campaign: Campaign) -> dict[str, Outcome]:
    """Return what a model says about the candidates of the kinds it reads, by key; from the ledger where it can."""
    readable = {key: candidate for key, candidate in asked.items() if candidate.kind in model.kinds}
    answers: dict[str, Outcome] = {}
    for key in readable:
        if (stored := campaign.ledger.find(key, model.name, model.fingerprint)) is not None:
            answers[key] = stored
    missing = [key for key in readable if key not in answers]
    fresh = predict_one_by_one(model, [readable[key] for key in missing])
    for key, found in zip(missing, fresh, strict=True):
        campaign.ledger.add(key, model.name, model.fingerprint, found)
        answers[key] = found
    return answers


def _look_again(tracks: list[Track], campaign: Campaign) -> None:
    """Replace predictions for crystals that the ladder has moved by predictions for what it made of them."""
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        if track.outcome.candidate.key != track.key:
            groups.setdefault(track.outcome.candidate.key, []).append(track)
    asked = {key: group[0].outcome.candidate for key, group in groups.items()}
    for model in campaign.models:
        for key, found in _predictions(model, asked, campaign).items():
            for track in groups[key] if found.status is Status.OK else ():
                track.amend(model.name, found)


def _absorb(stage: str, group: list[Track], found: Outcome) -> None:
    for track in group:
        track.absorb(stage, found)


def _judge(stage: str, track: Track, campaign: Campaign) -> None:
    track.stage = stage
    if track.alive and (reason := campaign.objective.hopeless(track.outcome)):
        track.drop(stage, reason)


def _select(tracks: list[Track], campaign: Campaign, tally: Tally, *, most: int) -> list[Track]:
    if not campaign.ladder:
        return []
    alive = _alive(tracks)
    campaign.observer.start("select", len(alive))
    kinds = frozenset().union(*(simulator.kinds for simulator in campaign.ladder))
    able = [track for track in alive if track.outcome.candidate.kind in kinds]
    ordered = sorted(able, key=lambda track: (-(campaign.objective.score(track.outcome) or 0.0), track.position))
    chosen = set(list(by_key(ordered))[:most])
    for track in alive:
        if track.outcome.candidate.kind not in kinds:
            _without_structure(track, campaign)
        elif track.key not in chosen:
            track.drop("select", f"not simulated: the budget of {most} simulations went to better-scored candidates")
        _close("select", track, campaign, tally)
    return [track for track in alive if track.key in chosen and track.alive]


def _without_structure(track: Track, campaign: Campaign) -> None:
    """Note what no rung can read; where models have judged it that stays its result, else there is none."""
    rungs = ", ".join(simulator.name for simulator in campaign.ladder)
    need = "needs" if len(campaign.ladder) == 1 else "need"
    words = f"a {track.outcome.candidate.kind.value} only: {rungs} {need} a crystal structure"
    if campaign.models:
        track.remark(words)
    else:
        track.drop("select", words)


def _climb(simulator: Simulator, tracks: list[Track], campaign: Campaign, tally: Tally) -> list[Track]:
    stage = simulator.name
    entering = [track for track in tracks if track.outcome.candidate.kind in simulator.kinds]
    campaign.observer.start(stage, len(entering))
    # two inputs may have become equal on the way up, or have been equal from the start
    groups: dict[str, list[Track]] = {}
    for track in entering:
        groups.setdefault(track.outcome.candidate.key, []).append(track)
    missing: list[Candidate] = []
    for key, group in groups.items():
        found = campaign.ledger.find(key, stage, simulator.fingerprint)
        if found is None:
            missing.append(group[0].outcome.candidate)
        else:
            _finish(stage, group, found, campaign, tally)
    for candidate, result in campaign.executor.map(Climb(simulator), missing):
        found = _booked(stage, candidate, result)
        campaign.ledger.add(candidate.key, stage, simulator.fingerprint, found)
        _finish(stage, groups[candidate.key], found, campaign, tally)
    return _alive(tracks)


def _booked(stage: str, candidate: Candidate, result: Outcome | ExecutionError) -> Outcome:
    if isinstance(result, ExecutionError):
        return Outcome(candidate, status=Status.FAILED, note=f"{stage}: {result}")
    return result


def _finish(stage: str, group: list[Track], found: Outcome, campaign: Campaign, tally: Tally) -> None:
    for track in group:
        track.absorb(stage, found)
        _judge(stage, track, campaign)
        _close(stage, track, campaign, tally)


def _rank(tracks: list[Track], objective: Objective) -> tuple[Row, ...]:
    if not objective.ranks:
        return tuple(
            Row(track.position, track.key, track.outcome, track.stage, read_as=track.formula) for track in tracks
        )
    rows = [_row(track, objective) for track in tracks]
    rows.sort(key=lambda row: (not row.feasible, _ORDER[row.outcome.status], -(row.score or 0.0), row.position))
    return tuple(replace(row, rank=rank) for rank, row in enumerate(rows, 1))


def _row(track: Track, objective: Objective) -> Row:
    refused = track.stage in ("read", "admit") and not track.alive
    return Row(
        position=track.position,
        key=track.key,
        outcome=track.outcome,
        stage=track.stage,
        feasible=track.alive and bool(objective.feasible(track.outcome)),
        score=0.0 if refused else objective.score(track.outcome),
        checks={} if refused else objective.checks(track.outcome),
        read_as=track.formula,
    )

"""From where the ions went to a diffusivity with a credible interval: mean square displacement and its line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import FloatArray
from ionsmith.simulate.trajectory import Trajectory

LEVEL = 0.95
"""Probability that a credible interval holds."""

HOP_LENGTH = 1.8
"""Displacement of an ion's smoothed position that counts as a hop, angstrom; vibrations stay below, jumps above."""

FEW_HOPS = 20
"""Fewer hops than this make a diffusivity doubtful."""

_CM2_S = 1e-4  # cm^2/s in one angstrom^2/ps
_MOST_LAGS = 40
_LONGEST = 0.5  # share of the run that the longest lag may take
_SMOOTHING = 0.5  # ps over which positions are averaged before hops are counted
_STARTS = (0.02, 0.05, 0.1, 0.15, 0.2)  # shares of the run at which the straight line may begin
_FIRST = 0.5  # ps; before that an ion still rattles in its cage
_POISSON = -math.log(1.0 - LEVEL)  # hops that no hop excludes
_MELT = 3.0  # square angstrom; vibrations of a solid framework stay below even near melting
_MELT_GROWTH = 1.4  # a solid framework's displacement stops growing with the lag


@dataclass(frozen=True)
class Diffusivity:
    """Tracer diffusivity of the mobile ions at one temperature.

    Attributes:
        temperature: K.
        mean: cm^2/s; zero where no ion hopped.
        std: cm^2/s.
        low: lower end of the 95 % credible interval, cm^2/s.
        high: upper end; without any hop the largest diffusivity that is compatible with seeing none.
        lags: time lags of the mean square displacement, ps; shape (n,).
        msd: mean square displacement of the mobile ions, square angstrom; shape (n,).
        msd_std: its standard error; shape (n,).
        framework_msd: of all other atoms; shape (n,); empty where there are none.
        start: lag from which the line is fitted, ps.
        hops: jumps counted in the whole run, all ions.
        ions: number of mobile ions.
        volume: of the cell, cubic angstrom.
        duration: ps.
        melted: whether the other atoms move away as well.
        warnings: one line each.
    """

    temperature: float
    mean: float
    std: float
    low: float
    high: float
    lags: FloatArray
    msd: FloatArray
    msd_std: FloatArray
    framework_msd: FloatArray
    start: float
    hops: int
    ions: int
    volume: float
    duration: float
    melted: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def bound_only(self) -> bool:
        """Whether the run only says that the diffusivity is below ``high``."""
        return self.mean <= 0.0


def diffusivity(trajectory: Trajectory, mobile: str = "Li", *, start: float | None = None) -> Diffusivity:
    """Estimate the tracer diffusivity of one kind of ion, with its credible interval.

    Mean square displacements over overlapping windows are correlated from lag to lag. With the covariance of
    free diffusion, cov(i, j) = s_i^2 / n_j for lags i <= j (s_i^2 the variance of squared displacements,
    n_j the number of displacements of lag j that do not overlap), the posterior of slope and intercept under a flat
    prior is a normal distribution known in closed form; the slope is cut at zero, D = slope / 6. It is the estimator
    of doi 10.1021/acs.jctc.4c01249 without its Markov chain, whose stationary distribution is the one used here.

    Args:
        trajectory: unwrapped; the drift of the other atoms is taken out.
        mobile: element symbol.
        start: lag from which the line is fitted, ps; None takes the first lag after which the slope does not change
            beyond its uncertainty any more.

    Raises:
        InputError: no such ion, or fewer than ten frames.
        PhysicsError: the trajectory is empty of time lags to fit.
    """
    places, others = _relative(trajectory, mobile)
    if len(places) < 10:
        raise InputError(f"{trajectory.source}: expected at least 10 frames, got {len(places)}")
    steps = _lag_steps(len(places))
    lags = np.asarray(steps * trajectory.interval, dtype=np.float64)
    msd, variance = _displacements(places, steps)
    independent = np.asarray(places.shape[1] * (len(places) - 1) / steps, dtype=np.float64)
    framework = _displacements(others, steps)[0] if others.shape[1] else np.zeros(0)
    hops = count_hops(places, trajectory.interval)
    begin, slope, spread = _line(lags, msd, variance, independent, start=start, duration=trajectory.duration)
    melted = _melted(lags, framework)
    warnings = [*melted, *_few(hops)]
    ions = places.shape[1]
    if hops == 0:
        high = no_hop_bound(ions, trajectory.duration)
        mean = std = low = 0.0
    else:
        mean, std, low, high = (x * _CM2_S / 6.0 for x in truncated(slope, spread))
    return Diffusivity(
        trajectory.temperature,
        mean,
        std,
        low,
        high,
        lags,
        msd,
        np.sqrt(variance / independent),
        framework,
        begin,
        hops,
        ions,
        trajectory.volume,
        trajectory.duration,
        bool(melted),
        tuple(warnings),
    )


def no_hop_bound(ions: int, duration: float, *, length: float = 3.0) -> float:
    """Largest diffusivity that is compatible with no hop at all, cm^2/s.

    With -ln(0.05) = 3 expected hops none is seen in one run of twenty: D = 3 a^2 / (6 N t).

    Args:
        ions: number of mobile ions.
        duration: ps.
        length: of a hop, angstrom.
    """
    return _POISSON * length**2 / (6.0 * ions * duration) * _CM2_S


def count_hops(places: FloatArray, interval: float) -> int:
    """Number of jumps: how often an ion's smoothed position leaves its last place by more than the hop length.

    Args:
        places: unwrapped positions of the ions, angstrom; shape (frames, ions, 3).
        interval: time between frames, ps.
    """
    window = max(1, min(round(_SMOOTHING / interval), len(places) // 3))
    total = np.cumsum(places, axis=0)
    total = np.concatenate([np.zeros_like(total[:1]), total])
    smooth = (total[window:] - total[:-window]) / window
    anchor = smooth[0].copy()
    hops = 0
    for frame in smooth[1:]:
        gone = np.linalg.norm(frame - anchor, axis=1) > HOP_LENGTH
        hops += int(gone.sum())
        anchor[gone] = frame[gone]
    return hops


def truncated(slope: float, spread: float) -> tuple[float, float, float, float]:
    """Mean, standard deviation and 95 % interval of a normal distribution cut at zero.

    Args:
        slope: mean of the uncut distribution.
        spread: its standard deviation.
    """
    below = float(ndtr(-slope / spread))
    tail = max(1.0 - below, 1e-300)
    density = math.exp(-0.5 * (slope / spread) ** 2) / math.sqrt(2.0 * math.pi)
    shift = density / tail
    mean = slope + spread * shift
    variance = spread**2 * max(1.0 - shift * (slope / spread + shift), 1e-12)
    half = 0.5 * (1.0 - LEVEL)
    low, high = (slope + spread * float(ndtri(below + p * tail)) for p in (half, 1.0 - half))
    return max(mean, 0.0), math.sqrt(variance), max(low, 0.0), max(high, 0.0)


def _relative(trajectory: Trajectory, mobile: str) -> tuple[FloatArray, FloatArray]:
    """Positions of mobile ions and of the others, both relative to the drift of the others (of all, if none)."""
    from ase.data import atomic_masses, atomic_numbers

    if mobile not in atomic_numbers:
        raise InputError(f"expected an element as mobile ion, got {mobile!r}{suggestion(mobile, atomic_numbers)}")
    moves = trajectory.numbers == atomic_numbers[mobile]
    if not moves.any():
        raise InputError(f"{trajectory.source}: no {mobile} among its atoms")
    anchor = ~moves if (~moves).any() else moves
    masses = atomic_masses[trajectory.numbers[anchor]]
    center = np.einsum("fak,a->fk", trajectory.positions[:, anchor], masses / masses.sum())
    still = trajectory.positions - center[:, None, :]
    return still[:, moves], still[:, ~moves]


def _lag_steps(frames: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    longest = max(4, int(_LONGEST * (frames - 1)))
    if longest <= _MOST_LAGS:
        return np.arange(1, longest + 1, dtype=np.int64)
    return np.unique(np.round(np.linspace(1, longest, _MOST_LAGS)).astype(np.int64))


def _displacements(
    places: FloatArray, steps: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the squared displacement at each lag, square angstrom and its square."""
    means, variances = np.zeros(len(steps)), np.zeros(len(steps))
    for n, step in enumerate(steps):
        squared = ((places[step:] - places[:-step]) ** 2).sum(axis=2)
        means[n], variances[n] = squared.mean(), squared.var()
    return means, variances


def _line(
    lags: FloatArray,
    msd: FloatArray,
    variance: FloatArray,
    independent: FloatArray,
    *,
    start: float | None,
    duration: float,
) -> tuple[float, float, float]:
    """Start of the line, ps, its slope and the slope's standard deviation, square angstrom per ps."""
    begins = [start] if start is not None else sorted({max(_FIRST, share * duration) for share in _STARTS})
    fits = []
    for begin in begins:
        use = lags >= begin - 1e-9
        if use.sum() < 3:
            break
        fits.append((begin, *_regress(lags[use], msd[use], variance[use], independent[use])))
    if not fits:
        raise PhysicsError(f"expected at least three time lags beyond {begins[0]:g} ps in a run of {duration:g} ps")
    for number, (_, slope, spread) in enumerate(fits):
        # a later start uses a subset of the data, so the variance of the difference is the difference of variances
        if all(
            abs(other - slope) <= math.sqrt(max(wider**2 - spread**2, (0.3 * spread) ** 2))
            for _, other, wider in fits[number + 1 :]
        ):
            return fits[number]
    return fits[-1]


def _regress(lags: FloatArray, msd: FloatArray, variance: FloatArray, independent: FloatArray) -> tuple[float, float]:
    """Generalised least squares slope with its standard deviation; the covariance is that of free diffusion.

    Observed variances follow the noise of the mean (a low mean comes with a low variance and would gain weight), so
    they are replaced by 2/3 M^2 + b M at the fitted line M: Gaussian displacements and, with one b for all lags, the
    excess of rare jumps.
    """
    model = np.maximum(msd, 1e-12)
    slope = spread = 0.0
    for _ in range(3):
        weight = independent / model**2
        excess = max(
            0.0, float((weight * (variance - 2.0 / 3.0 * model**2) * model).sum() / (weight * model**2).sum())
        )
        slope, offset, spread = _solve(lags, msd, 2.0 / 3.0 * model**2 + excess * model, independent)
        line = max(slope, 0.0) * lags + max(offset, 0.0)
        model = np.maximum(line, 0.05 * np.maximum(msd, 1e-12))
    return slope, spread


def _solve(
    lags: FloatArray, msd: FloatArray, variance: FloatArray, independent: FloatArray
) -> tuple[float, float, float]:
    order = np.arange(len(lags))
    # s_i^2 n_i must grow with the lag or the matrix is no covariance
    growth = np.maximum.accumulate(variance / independent * independent**2) * (1.0 + 1e-6 * order)
    scatter = growth / independent**2
    first, last = np.minimum.outer(order, order), np.maximum.outer(order, order)
    covariance = scatter[first] * independent[first] / independent[last]
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale) + 1e-9 * np.eye(len(lags))
    design = np.stack([lags, np.ones_like(lags)], axis=1) / scale[:, None]
    weighted = np.linalg.solve(correlation, design)
    normal = np.linalg.inv(design.T @ weighted)
    slope, offset = (normal @ (weighted.T @ (msd / scale))).tolist()
    return float(slope), float(offset), float(math.sqrt(max(normal[0, 0], 1e-30)))


def _melted(lags: FloatArray, framework: FloatArray) -> list[str]:
    if not len(framework):
        return []
    quarter = float(np.interp(0.25 * lags[-1], lags, framework))
    last = float(framework[-1])
    if last > _MELT and last > _MELT_GROWTH * quarter:
        return [f"the framework moves: its mean square displacement reaches {last:.1f} square angstrom and grows"]
    return []


def _few(hops: int) -> list[str]:
    return [f"only {hops} hops seen, {FEW_HOPS} are the least to trust"] if hops < FEW_HOPS else []

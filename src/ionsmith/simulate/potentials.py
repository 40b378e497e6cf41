"""Interatomic potentials by name, as ASE calculators: CHGNet by default, loaded once per process, on demand."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import math
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import FloatArray

Forces = Callable[[FloatArray, FloatArray], tuple[float, FloatArray, FloatArray]]

DEFAULT = "chgnet"
"""CHGNet 0.3.0 (doi 10.1038/s42256-023-00716-3); its weights are inside the wheel."""

THREADS_VARIABLE = "IONSMITH_THREADS"

_EXAMPLES = "chgnet, emt, lj, a matcalc model such as MACE-MPA-0-medium or SevenNet-OMat24, or package.module:factory"
_ASE = MappingProxyType({"emt": ("ase.calculators.emt", "EMT"), "lj": ("ase.calculators.lj", "LennardJones")})
_log = logging.getLogger(__name__)


def potential(name: str = DEFAULT, *, threads: int | None = None) -> Any:
    """Return the ASE calculator of a name; the same object for the same name within a process.

    Args:
        name: ``chgnet``; ``emt`` or ``lj`` (ASE, for tests); any name that matcalc or ASE knows; or
            ``package.module:factory``, a callable without arguments that returns an ASE calculator.
        threads: as in :func:`set_threads`.

    Raises:
        InputError: an unknown name, a package that is not installed, a factory that cannot be imported or does not
            return a calculator, or a thread count below one.
    """
    set_threads(threads)
    return _calculator(name)


def check_potential(name: str) -> None:
    """Refuse a potential that cannot be had, before any work starts; the default needs no check and is not loaded.

    Args:
        name: as in :func:`potential`.

    Raises:
        InputError: as :func:`potential`.
    """
    if name != DEFAULT:
        potential(name)


def set_threads(threads: int | None = None) -> None:
    """Set how many threads torch may use in this process, for good.

    Args:
        threads: at least one; None takes ``IONSMITH_THREADS`` from the environment and, without it, changes nothing.

    Raises:
        InputError: not a whole number of at least one.
    """
    wanted: int | str | None = threads if threads is not None else os.environ.get(THREADS_VARIABLE) or None
    if wanted is None:
        return
    try:
        count = int(wanted)
    except ValueError:
        count = 0
    if count < 1:
        raise InputError(f"expected a number of threads of at least one, got {wanted!r}")
    import torch

    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def potential_fingerprint(name: str = DEFAULT) -> str:
    """Return text that changes with the potential and with the version of the package that provides it.

    Args:
        name: as in :func:`potential`; it is not loaded.
    """
    if name == DEFAULT:
        package = "chgnet"
    elif ":" in name:
        package = name.partition(".")[0].partition(":")[0]
    else:
        package = "ase" if name in _ASE else "matcalc"
    try:
        return f"{name}-{package}-{version(package)}"
    except PackageNotFoundError:
        return name


def forces_of(name: str, numbers: Sequence[int], *, threads: int | None = None) -> Forces:
    """Return a function from positions and cell of a crystal to energy, forces and strain derivative.

    It takes Cartesian positions, angstrom, shape (atoms, 3), and the cell vectors in rows, angstrom, and returns eV,
    eV/angstrom, shape (atoms, 3), and eV, shape (3, 3). CHGNet answers in a third of its calculator's time.

    Args:
        name: as in :func:`potential`.
        numbers: atomic numbers; shape (atoms,).
        threads: as in :func:`set_threads`.

    Raises:
        InputError: as :func:`potential`; the function raises PhysicsError where the potential has no answer.
    """
    calculator = potential(name, threads=threads)
    if name == DEFAULT:
        from ionsmith.simulate.md_batch.network import CrystalForces

        look: Forces = CrystalForces(calculator.model, numbers).evaluate
    else:
        look = _by_calculator(calculator, numbers)

    def guarded(positions: FloatArray, cell: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        try:
            return look(positions, cell)
        except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError, FloatingPointError) as error:
            raise PhysicsError(no_answer(name, error)) from error

    return guarded


def _by_calculator(calculator: Any, numbers: Sequence[int]) -> Forces:
    from ase import Atoms

    def look(positions: FloatArray, cell: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
        atoms.calc = calculator
        strain = atoms.get_stress(voigt=False) * atoms.get_volume()
        return float(atoms.get_potential_energy()), np.asarray(atoms.get_forces()), np.asarray(strain)

    return look


def static_energy(structure: Structure, name: str = DEFAULT, *, threads: int | None = None) -> float:
    """Return the energy of a crystal as it is, eV/atom.

    Args:
        structure: ordered crystal.
        name: as in :func:`potential`.
        threads: as in :func:`set_threads`.

    Raises:
        InputError: as :func:`potential`.
        PhysicsError: the potential has no answer for this crystal, such as isolated atoms or unknown elements.
    """
    calculator = potential(name, threads=threads)
    try:
        if name == DEFAULT:  # the energy alone costs a third of what a calculator call with forces costs
            energy = float(calculator.model.predict_structure(structure, task="e")["e"])
        else:
            atoms = structure.to_ase_atoms()
            atoms.calc = calculator
            energy = float(atoms.get_potential_energy()) / len(atoms)
    except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError) as error:
        raise PhysicsError(no_answer(name, error)) from error
    if not math.isfinite(energy):
        raise PhysicsError(f"{name} gave an energy that is not finite")
    return energy


def no_answer(name: str, error: Exception) -> str:
    """Return one line that says why a potential refused a crystal.

    Args:
        name: of the potential.
        error: what it raised.
    """
    lines = str(error).splitlines()
    return f"{name} has no answer for this crystal: {lines[0] if lines else type(error).__name__}"


@lru_cache(maxsize=8)
def _calculator(name: str) -> Any:
    if name == DEFAULT:
        return _chgnet()
    if ":" in name:
        return _from_factory(name)
    if name in _ASE:
        module, member = _ASE[name]
        return getattr(importlib.import_module(module), member)()
    return _from_libraries(name)


def _chgnet() -> Any:
    from chgnet.model import CHGNet
    from chgnet.model.dynamics import CHGNetCalculator

    with contextlib.redirect_stdout(io.StringIO()):  # it announces its device on stdout, which belongs to --json
        model = CHGNet.load(verbose=False)
        return CHGNetCalculator(model=model, on_isolated_atoms="error")


def _from_factory(name: str) -> Any:
    from ase.calculators.calculator import BaseCalculator

    module, _, member = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), member)
    except (ImportError, AttributeError) as error:
        raise InputError(f"potential {name!r}: cannot import it: {error}") from error
    made = factory() if callable(factory) else factory
    if not isinstance(made, BaseCalculator):
        raise InputError(f"potential {name!r}: expected an ASE calculator, got {type(made).__name__}")
    return made


def _from_libraries(name: str) -> Any:
    from ase.calculators.calculator import get_calculator_class, names
    from matcalc import load_fp

    if name in names:
        return _from_ase(name, get_calculator_class)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return load_fp(name)
    except ImportError as error:
        raise InputError(f"potential {name!r}: its package is not installed: {_line(error)}") from error
    except ValueError as error:
        raise InputError(f"unknown potential {name!r}; expected {_EXAMPLES}: {_line(error)}") from error


def _from_ase(name: str, find: Any) -> Any:
    from ase.calculators.calculator import BadConfiguration

    try:
        return find(name)()
    except (ImportError, RuntimeError, TypeError, ValueError, BadConfiguration) as error:
        raise InputError(f"potential {name!r}: ASE cannot start it without settings: {_line(error)}") from error


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__

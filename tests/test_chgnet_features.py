"""CHGNet's view of a crystal: right energy, right symmetry, refusals in place, and a memory that forgets."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, IonsmithError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.predict import transfer_views
from ionsmith.predict.transfer_views import MAX_SITES, ViewMemory, crowd_of, fingerprints, plain_structure
from ionsmith.represent.chgnet import BLOCKS, WIDTH, CrystalView, chgnet_version, chgnet_views
from ionsmith.simulate.potentials import static_energy
from ionsmith.testing import antifluorite, disordered_chloride, formula, rock_salt


def one(candidate):
    return chgnet_views([candidate.structure])[0]


def test_the_energy_is_that_of_the_potential():
    view = one(rock_salt())
    assert view.energy == pytest.approx(static_energy(rock_salt().structure), abs=1e-5)
    assert view.site_energies.mean() == pytest.approx(view.energy, abs=1e-4)
    assert view.volume == pytest.approx(4.03**3 / 8)
    assert view.atoms.shape == (8, WIDTH * len(BLOCKS))
    assert chgnet_version().startswith("chgnet-")


def test_the_third_block_is_what_chgnet_calls_atom_features():
    from ionsmith.represent.chgnet import _model

    network = _model().network
    theirs = network.predict_structure(antifluorite().structure, return_atom_feas=True)["atom_fea"]
    ours = one(antifluorite()).atoms[:, 2 * WIDTH : 3 * WIDTH]
    assert np.allclose(ours, np.asarray(theirs).reshape(ours.shape), atol=1e-4)


def test_a_batch_and_single_crystals_agree():
    structures = [rock_salt().structure, antifluorite().structure]
    for alone, together in zip(chgnet_views(structures), chgnet_views(structures, batch=2), strict=True):
        assert np.allclose(alone.atoms, together.atoms, rtol=1e-3, atol=1e-3)
        assert alone.energy == pytest.approx(together.energy, abs=1e-4)


def test_a_lonely_atom_is_refused_in_its_place():
    lonely = Structure(Lattice.cubic(20), ["H"], [[0, 0, 0]])
    found = chgnet_views([rock_salt().structure, lonely])
    assert isinstance(found[0], CrystalView)
    assert isinstance(found[1], PhysicsError)
    assert "chgnet has no answer" in str(found[1])


def test_an_element_that_chgnet_has_not_seen_is_refused():
    (found,) = chgnet_views([rock_salt("Li", "Am", a=5.0).structure])
    assert isinstance(found, PhysicsError)
    assert "up to number 94, got number 95" in str(found)


def test_equivalent_atoms_are_found():
    label = one(antifluorite()).alike()
    assert len(set(label.tolist())) == 2
    assert np.bincount(label).tolist() == [8, 4]


def test_a_supercell_reads_the_same():
    large = rock_salt().structure.copy()
    large.make_supercell([2, 1, 1])
    small, large = rock_salt(), Candidate(Kind.CRYSTAL, large, Origin("toy"))
    crowds = [crowd_of([c], [one(c)]) for c in (small, large)]
    assert crowds[0].sizes.tolist() == crowds[1].sizes.tolist() == [2]
    assert (2 * crowds[0].weights).tolist() == crowds[1].weights.tolist()
    assert np.allclose(crowds[0].crystal, crowds[1].crystal, rtol=1e-4, atol=1e-3)
    assert np.allclose(fingerprints(crowds[0]), fingerprints(crowds[1]), rtol=1e-2, atol=1e-2)


def test_a_disordered_crystal_is_seen_through_its_approximant():
    structure = plain_structure(disordered_chloride())
    assert structure.is_ordered
    assert {e.symbol for e in structure.composition} == {"Li", "Na", "Cl"}


def test_what_is_no_crystal_or_too_large_is_refused():
    with pytest.raises(InputError, match="expected a crystal"):
        plain_structure(formula("LiF"))
    large = rock_salt().structure.copy()
    large.make_supercell([3, 3, 3])
    assert len(large) > MAX_SITES
    with pytest.raises(InputError, match="at most"):
        plain_structure(Candidate(Kind.CRYSTAL, large, Origin("toy")))


def test_the_memory_looks_once_and_forgets_the_oldest(monkeypatch):
    looked = []

    def look(candidates):
        looked.extend(candidates)
        views = [one(c) for c in candidates.values()]
        return dict(zip(candidates, views, strict=True))

    monkeypatch.setattr(transfer_views, "_look", look)
    memory = ViewMemory(most_atoms=10)
    first, second = rock_salt(), rock_salt("Na", "Cl", a=5.64)
    memory([first, first])
    memory([first])
    assert looked == [first.key]
    memory([second])
    assert len(memory) == 1
    assert first.key not in memory
    assert second.key in memory


def test_a_refusal_is_remembered_too():
    memory = ViewMemory()
    found = memory([formula("LiF")])
    assert isinstance(found[0], IonsmithError)
    assert len(memory) == 1

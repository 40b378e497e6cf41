"""The causal transformer: nothing looks ahead, and writing word by word agrees with reading at once."""

import pytest
import torch

from ionsmith.core.errors import InputError
from ionsmith.learn.causal import CausalTransformer, Memory


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CausalTransformer(16, layers=3, heads=4, longest=12).eval()


@pytest.fixture
def words():
    return torch.randn(5, 9, 16, generator=torch.Generator().manual_seed(1))


def test_a_later_word_changes_nothing_before_it(network, words):
    changed = words.clone()
    changed[:, 6:, 0] += 3.0
    first, second = network(words), network(changed)
    assert torch.allclose(first[:, :6], second[:, :6], atol=1e-6)
    assert not torch.allclose(first[:, 6:], second[:, 6:], atol=1e-3)


def test_word_by_word_agrees_with_the_whole(network, words):
    memory = Memory()
    parts = [network(words[:, :4], memory)]
    parts += [network(words[:, place : place + 1], memory) for place in range(4, 9)]
    assert memory.length == 9
    assert torch.allclose(torch.cat(parts, dim=1), network(words), atol=1e-5)


def test_finished_sentences_can_be_forgotten(network, words):
    memory = Memory()
    network(words[:, :4], memory)
    rows = torch.tensor([1, 3])
    memory.keep(rows)
    found = network(words[rows, 4:5], memory)
    assert torch.allclose(found, network(words)[rows, 4:5], atol=1e-5)


def test_what_cannot_be_is_said(network, words):
    with pytest.raises(InputError, match="a width that 3 heads divide, got 16"):
        CausalTransformer(16, layers=1, heads=3, longest=4)
    with pytest.raises(InputError, match="at most 12 words, got 18"):
        network(torch.cat([words, words], dim=1))
    memory = Memory()
    network(words[:, :2], memory)
    with pytest.raises(InputError, match="one word at a time after the first call, got 2"):
        network(words[:, 2:4], memory)

"""Null-text optimization on a guided model whose best embedding is known."""

import math
from itertools import pairwise

import pytest
import torch
from img2img_studio.core.null_text import GOOD_ENOUGH, GOOD_ENOUGH_GROWTH, bytes_for_backward, null_text

CFG = 7.5
SIGMAS = [4.0, 2.0, 1.0, 0.0]


class Guided:
    """A model whose unconditional answer is the embedding itself, stretched; the prompt always says 1."""

    def __init__(self, stretch=1.0):
        self.stretch = stretch
        self.calls = []

    def conditional(self, x, sigma):
        self.calls.append("conditional")
        return torch.ones_like(x)

    def unconditional(self, x, sigma, embedding):
        self.calls.append("unconditional")
        return self.stretch * embedding.reshape(x.shape)

    def combine(self, x, sigma, conditional, unconditional):
        return unconditional + CFG * (conditional - unconditional)

    def denoise(self, x, sigma, embedding):
        self.calls.append("guided")
        return self.combine(x, sigma, torch.ones_like(x), self.stretch * embedding.reshape(x.shape))


def follow(model, path, rounds=40, rate=0.05, start=0.0, scale=lambda sigma: 1.0):
    embedding = torch.full((1, 2, 8), start)
    return list(null_text(model, path, SIGMAS, embedding, scale, rounds, rate))


@pytest.fixture
def path():
    """States of a run on which the model says 1.3 at cfg 1."""
    states = [torch.full((1, 4, 2, 2), 5.0)]
    for sigma, sigma_next in pairwise(SIGMAS):
        states.append(sigma_next / sigma * states[-1] + (1 - sigma_next / sigma) * 1.3)
    return states


def test_it_finds_the_embedding_that_leads_to_the_path(path):
    steps = follow(Guided(), path)
    wanted = (CFG - 1.3) / (CFG - 1)  # unconditional + cfg (1 - unconditional) = 1.3
    for step, target in zip(steps, path[1:], strict=True):
        assert float((step.embedding - wanted).abs().max()) < 0.01
        assert float((step.state - target).abs().max()) < 0.05
        assert step.last <= step.first
    assert steps[0].first > 1


def test_a_step_ends_when_it_is_close_enough(path):
    steps = follow(Guided(), path, rounds=500)
    assert all(step.rounds < 500 for step in steps)
    for place, step in enumerate(steps):
        assert step.last < GOOD_ENOUGH + GOOD_ENOUGH_GROWTH * place / len(steps)
    assert steps[1].rounds < steps[0].rounds  # it starts from where the step before ended


def test_too_high_a_rate_makes_no_step_worse(path):
    for step in follow(Guided(), path, rounds=5, rate=100.0):
        assert step.last <= step.first


def test_no_rounds_leave_the_embedding_as_it_was(path):
    model = Guided()
    steps = follow(model, path, rounds=0, start=0.25)
    assert all(torch.equal(step.embedding, torch.full((1, 2, 8), 0.25)) for step in steps)
    assert all((step.rounds, step.first) == (0, step.last) for step in steps)
    assert model.calls == ["conditional", "unconditional", "guided"] * 3


def test_distances_are_measured_as_if_pictures_had_variance_one(path):
    plain, scaled = (follow(Guided(), path, 0, scale=scale)[0] for scale in (lambda s: 1.0, lambda s: math.hypot(1, s)))
    assert scaled.first == pytest.approx(plain.first / (1 + SIGMAS[1] ** 2))


def test_bytes_for_a_backward_pass():
    """A product with a weight holds the weight, which is there anyway; tanh holds its answer."""
    weight, x = torch.ones(10, 10), torch.ones(5, 10, requires_grad=True)
    assert bytes_for_backward(lambda: (x @ weight).tanh(), [weight]) == 5 * 10 * 4
    assert bytes_for_backward(lambda: (x @ weight).tanh().tanh(), [weight]) == 2 * 5 * 10 * 4
    assert bytes_for_backward(lambda: x @ (2 * weight), [weight]) == 10 * 10 * 4
    with pytest.raises(ValueError, match="changes nothing in its answer"):
        bytes_for_backward(lambda: weight.tanh(), [weight])

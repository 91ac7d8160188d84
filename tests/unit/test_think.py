"""Thinking at a mask against closed forms: a denoiser that knows the picture, and noise whose size is known."""

import pytest
import torch
from img2img_studio.core.think import noised_again, think

LEVELS = [(4.0, 2.5, False), (0.5, 0.1, False), (1.0, 0.7, True), (0.9, 0.6, True), (0.5, 0.1, True)]


def drawn(seed, shape=(2, 4, 6, 5)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def state(clean, noise, sigma, flow):
    return (1 - sigma) * clean + sigma * noise if flow else clean + sigma * noise


@pytest.mark.parametrize(("sigma", "lower", "flow"), LEVELS)
def test_a_round_keeps_the_picture_and_the_noise_level(sigma, lower, flow):
    """Under a perfect denoiser the new state is the picture noised to the same level, its noise partly fresh."""
    clean, noise, fresh = drawn(0), drawn(1), drawn(2)
    x = state(clean, noise, sigma, flow)
    think(lambda x: clean, x, (sigma, lower), [fresh], flow)
    kept = lower / sigma * ((1 - sigma) / (1 - lower) if flow else 1.0)
    mixed = kept * noise + (1 - kept**2) ** 0.5 * fresh
    assert torch.allclose(x, state(clean, mixed, sigma, flow), atol=1e-5)


def test_the_state_is_changed_in_place_and_the_last_answer_is_about_it():
    seen, x = [], drawn(3)
    before = x.clone()

    def denoise(x):
        seen.append(x.clone())
        return 0.5 * x

    answer = think(denoise, x, (2.0, 1.0), [drawn(4), drawn(5)], flow=False)
    assert len(seen) == 3
    assert torch.equal(seen[0], before)
    assert torch.equal(seen[1], noised_again(0.75 * before, drawn(4), (2.0, 1.0), flow=False))
    assert torch.equal(x, seen[2])
    assert torch.equal(answer, 0.5 * x)


def test_without_rounds_it_is_the_answer_itself():
    x = drawn(6)
    before = x.clone()
    assert torch.equal(think(lambda x: 3 * x, x, (2.0, 1.0), [], flow=True), 3 * before)
    assert torch.equal(x, before)

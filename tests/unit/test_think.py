"""Thinking at a mask against closed forms: a denoiser that knows the picture, and one that errs by a known amount."""

import pytest
import torch
from img2img_studio.core.think import think

MASK = torch.zeros(1, 1, 6, 5)
MASK[..., :2] = 1
MASK[..., 2] = 0.25


def drawn(seed, shape=(2, 4, 6, 5)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def noised(clean, noise):
    return 0.7 * clean + 0.3 * noise


def test_a_round_under_a_perfect_answer_is_the_picture_noised_anew():
    clean, fresh = drawn(0), drawn(2)
    x = noised(clean, drawn(1))
    assert torch.allclose(think(lambda x: clean, noised, x, clean, MASK, [fresh]), clean, atol=1e-6)
    assert torch.allclose(x, noised(clean, fresh), atol=1e-6)


@pytest.mark.parametrize("push", [0.0, 1.0, 3.0])
def test_the_outside_is_pushed_against_the_error_of_the_answer(push):
    """Where the answer is the original plus e, the state's clean part is the original minus push * e."""
    original, error, fresh = drawn(0), drawn(3), drawn(2)
    x = noised(original, drawn(1))
    think(lambda x: original + error, noised, x, original, MASK, [fresh], push)
    aim = original + (MASK - push * (1 - MASK)) * error
    assert torch.allclose(x, noised(aim, fresh), atol=1e-5)


def test_a_model_that_reads_its_state_comes_to_say_what_is_known():
    """An answer that lags behind the state by a constant: after the push, the outside reads as it is."""
    original, lag = drawn(0), 0.5
    quiet = torch.zeros_like(original)

    def ask(x):
        return x / 0.7 - lag

    asked = []
    x = noised(original, quiet)
    think(lambda x: asked.append(ask(x)) or asked[-1], noised, x, original, MASK, [quiet])
    outside = MASK.expand_as(original) == 0
    before, after = ((one - original)[outside].abs().mean() for one in asked)
    assert before == pytest.approx(lag, abs=1e-5)
    assert after == pytest.approx(0, abs=1e-5)


def test_the_state_is_changed_in_place_and_the_last_answer_is_about_it():
    seen, x, original = [], drawn(3), drawn(7)
    before = x.clone()

    def ask(x):
        seen.append(x.clone())
        return 0.5 * x

    answer = think(ask, noised, x, original, MASK, [drawn(4), drawn(5)])
    assert len(seen) == 3
    assert torch.equal(seen[0], before)
    assert torch.equal(x, seen[2])
    assert torch.equal(answer, torch.lerp(original, 0.5 * x, MASK))

"""Edits by words on pictures drawn from normal distributions, where it is known what two prompts differ by."""

import math

import pytest
import torch
from img2img_studio.core.edit import finish, guided_pairs, noised, prompt_edit
from img2img_studio.core.noise import StepNoise

SPREAD = 0.7  # of the pictures around the mean that a prompt names
SOURCE, TARGET = 0.5, -0.8
SHAPE = (3, 4, 6, 5)


def denoiser(mean, flow):
    """E[x0 | x] for x0 ~ N(mean, SPREAD²), x = a x0 + sigma noise."""

    def denoise(x, sigma):
        a = 1 - sigma if flow else 1.0
        return mean + a * SPREAD**2 / (a**2 * SPREAD**2 + sigma**2) * (x - a * mean)

    return denoise


def pair(source, target):
    return lambda z, moved, sigma: (source(z, sigma), target(moved, sigma))


def exact_share(sigma, flow):
    """How much of the way between the two means an edit goes from a sigma on: all of it from pure noise.

    With the share r of a noised picture that is picture, the first delta is 1 - r² of the way, and all of it tone. An
    edit that begins with 0 goes 1 - r of it, and r of what it begins with is left in the end: 1 - r + r (1 - r²).
    """
    a = 1 - sigma if flow else 1.0
    return 1 - (a * SPREAD / math.sqrt(a**2 * SPREAD**2 + sigma**2)) ** 3


def levels(steps, flow, top=None):
    top = top or (1.0 if flow else 14.6)
    return [top * (i / steps) ** (1 if flow else 3) for i in range(steps, -1, -1)]


def draw(seed=7, items=range(SHAPE[0]), shape=SHAPE):
    return StepNoise((len(items), *shape[1:]), [(seed, item) for item in items], torch.device("cpu"), "edit")


def last(steps):
    return list(steps)[-1]


@pytest.fixture
def picture():
    return SOURCE + SPREAD * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("flow", "top"), [(False, 14.6), (False, 2.0), (True, 1.0), (True, 0.6)])
def test_an_edit_moves_by_what_the_prompts_differ_in(picture, flow, top):
    """To first order in the length of the steps, from whatever noise level it starts."""
    ask = pair(denoiser(SOURCE, flow), denoiser(TARGET, flow))
    exact = exact_share(top, flow) * (TARGET - SOURCE)
    errors = [
        float((last(prompt_edit(ask, picture, levels(steps, flow, top), [draw()], flow)) - picture - exact).abs().max())
        for steps in (100, 200)
    ]
    assert errors[1] < 0.02
    assert errors[0] / max(errors[1], 1e-12) == pytest.approx(2, abs=0.2) or errors[0] < 1e-9


@pytest.mark.parametrize("flow", [False, True])
def test_the_same_prompt_twice_gives_the_picture_back_bit_for_bit(picture, flow):
    same = denoiser(SOURCE, flow)
    for edited in prompt_edit(pair(same, same), picture, levels(5, flow), [draw()], flow):
        assert torch.equal(edited, picture)


def guided(of_source, of_target, cfg, source_cfg):
    """Both sides guided as ComfyUI does it."""
    sides = ((*of_source, source_cfg), (*of_target, cfg))
    return tuple(uncond + scale * (cond - uncond) for cond, uncond, scale in sides)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize(("cfg", "source_cfg"), [(1, 1), (3, 1), (3, 3), (7.5, 2)])
def test_guidance_leaves_no_difference_between_equal_prompts(picture, flow, cfg, source_cfg):
    """Negatives and all, up to rounding."""
    prompt, negative = denoiser(SOURCE, flow), denoiser(0.1, flow)

    def ask(z, moved, sigma):
        negatives = negative(z, sigma), negative(moved, sigma)
        answers = prompt(z, sigma), prompt(moved, sigma), prompt(moved, sigma)
        return guided(*guided_pairs(*answers, cfg, negatives, source_cfg), cfg, source_cfg)

    assert torch.allclose(last(prompt_edit(ask, picture, levels(8, flow), [draw()], flow)), picture, atol=1e-9)


def test_guidance_is_the_usual_one_where_both_sides_have_the_same():
    source, target, reference, *negatives = torch.randn(5, *SHAPE, dtype=torch.float64)
    unasked = torch.full_like(target, math.nan)
    at_source, at_target = guided(*guided_pairs(source, target, unasked, 4.0, tuple(negatives), 4.0), 4.0, 4.0)
    assert torch.allclose(at_source, negatives[0] + 4 * (source - negatives[0]))
    assert torch.allclose(at_target, negatives[1] + 4 * (target - negatives[1]))
    at_source, at_target = guided(*guided_pairs(source, target, reference, 4.0, tuple(negatives), 1.0), 4.0, 1.0)
    assert torch.equal(at_source, source)
    assert torch.allclose(at_target, reference + 4 * (target - reference))


@pytest.mark.parametrize("flow", [False, True])
def test_a_mask_lets_its_share_through_and_keeps_the_bits_outside(picture, flow):
    """With prompts that know their picture for certain, the edit is the target where it is free."""
    wanted = picture.flip(1) + 4.0
    mask = torch.zeros(1, 1, *SHAPE[2:], dtype=torch.float64)
    mask[..., 2:4, :], mask[..., 4:, :] = 1.0, 0.25
    edited = last(
        prompt_edit(pair(lambda *_: picture, lambda *_: wanted), picture, levels(5, flow), [draw()], flow, mask)
    )
    assert torch.equal(edited[..., :2, :], picture[..., :2, :])
    assert torch.allclose(edited[..., 2:4, :], wanted[..., 2:4, :])
    assert torch.allclose(edited[..., 4:, :], torch.lerp(picture, wanted, 0.25)[..., 4:, :])


@pytest.mark.parametrize("flow", [False, True])
def test_what_the_prompts_hardly_differ_in_keeps_its_bits(picture, flow):
    wanted = picture + 2.0
    wanted[..., 3:, :] = picture[..., 3:, :] + 0.05
    edited = last(prompt_edit(pair(lambda *_: picture, lambda *_: wanted), picture, levels(5, flow), [draw()], flow))
    assert torch.equal(edited[..., 3:, :], picture[..., 3:, :])
    assert torch.allclose(edited[..., :3, :], wanted[..., :3, :])


def crooked(mean, flow):
    """A denoiser that is not linear, so that the noise matters."""
    straight = denoiser(mean, flow)
    return lambda x, sigma: straight(x, sigma) + 0.3 * torch.sin(3 * x + mean)


@pytest.mark.parametrize("flow", [False, True])
def test_an_item_alone_is_the_item_in_the_batch(picture, flow):
    ask = pair(crooked(SOURCE, flow), crooked(TARGET, flow))
    together = last(prompt_edit(ask, picture, levels(6, flow), [draw()], flow))
    alone = last(prompt_edit(ask, picture[2:], levels(6, flow), [draw(items=[2])], flow))
    assert torch.equal(together[2:], alone)
    assert not torch.equal(together, last(prompt_edit(ask, picture, levels(6, flow), [draw(8)], flow)))


def test_noises_are_averaged_and_turned_around_at_every_second_step(picture):
    seen = []

    def ask(z, moved, sigma):
        seen.append((z - picture) / sigma)
        return z, 2 * moved - picture

    one, two = draw(1), draw(2)
    sigmas = [4.0, 2.0, 1.0, 0.0]
    first, *_ = prompt_edit(ask, picture, sigmas, [one, two], False)
    noises = [source(4.0, 2.0).double() for source in (one, two)]
    assert torch.allclose(seen[0], noises[0])
    assert torch.allclose(seen[1], noises[1])
    assert torch.allclose(seen[2], -noises[0])
    assert torch.allclose(seen[4], one(1.0, 0.0).double())
    moved = sum(noises)  # half the way to the mean of 4 noise, from the tone of that
    assert torch.allclose(first - picture, moved + moved.mean((2, 3), keepdim=True))


def test_an_edit_begins_with_the_tone_of_what_its_mask_lets_through(picture):
    """So far as the picture is left in what it is noised to: on flow models, 1 - sigma."""
    mask = torch.zeros(1, 1, *SHAPE[2:], dtype=torch.float64)
    mask[..., 2:4], mask[..., 4:] = 1.0, 0.5
    wanted = picture.flip(1)
    for flow, signal in ((False, 1.0), (True, 0.2)):
        ask = pair(lambda *_: picture, lambda *_: wanted)
        first, *_ = prompt_edit(ask, picture, [0.8, 0.4, 0.0], [draw()], flow, mask)
        delta = wanted - picture
        tone = (delta * mask).sum((2, 3), keepdim=True) / (mask.sum())
        assert torch.allclose(first - picture, mask * (signal * tone + delta) / 2)


def test_a_shifted_world_is_edited_to_a_shifted_picture(picture):
    """Pictures and prompts moved by the same amount: so is the edit."""
    edits = []
    for by in (0.0, 2.0):
        ask = pair(denoiser(SOURCE + by, False), denoiser(TARGET + by, False))
        edits.append(last(prompt_edit(ask, picture + by, levels(7, False), [draw()], False)))
    assert torch.allclose(edits[0] + 2.0, edits[1], atol=1e-9)


@pytest.mark.parametrize("flow", [False, True])
def test_no_steps_change_nothing(picture, flow):
    assert list(prompt_edit(pair(None, None), picture, [], [draw()], flow)) == []


@pytest.mark.parametrize("flow", [False, True])
def test_the_end_samples_the_target_and_keeps_what_is_masked(picture, flow):
    wanted, noise = picture.flip(1), torch.randn(SHAPE, dtype=torch.float64)
    mask = torch.zeros(1, 1, *SHAPE[2:], dtype=torch.float64)
    mask[..., 3:, :] = 1.0
    asked = []

    def denoise(z, sigma):
        asked.append(z)
        return wanted

    sigmas = levels(4, flow, 0.5)
    edited = torch.lerp(picture, wanted, 0.5)
    assert torch.allclose(last(finish(denoise, picture, edited, sigmas, noise, flow)), wanted)
    assert torch.allclose(asked[0], noised(picture, noise, 0.5, flow) + edited - picture)
    kept = last(finish(denoise, picture, edited, sigmas, noise, flow, mask))
    assert torch.equal(kept[..., :3, :], picture[..., :3, :])
    assert torch.allclose(kept[..., 3:, :], wanted[..., 3:, :])

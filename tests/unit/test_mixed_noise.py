"""Noise between what was drawn and what a picture inverts to: as strong as noise everywhere."""

import math

import pytest
import torch
from img2img_studio.core.mixed_noise import mixed_noise


def white(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cosine(a, b):
    return float((a * b).sum() / a.norm() / b.norm())


def without(noise, low):
    """Noise with nothing above (or, with ``low`` false, below) a quarter of a wave a cell."""
    spectrum = torch.fft.rfft2(noise)
    down = torch.fft.fftfreq(noise.shape[-2])[:, None]
    frequency = (down**2 + torch.fft.rfftfreq(noise.shape[-1]) ** 2).sqrt()
    return torch.fft.irfft2(spectrum * ((frequency < 0.22) if low else (frequency > 0.28)), s=noise.shape[-2:])


@pytest.mark.parametrize("shape", [(4, 64, 64), (16, 1, 48, 33), (4, 20, 90)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_two_noises_give_a_third_at_the_angle_asked_for(shape, share):
    drawn, inverted = white(*shape), white(*shape, seed=1)
    mixed, angle = mixed_noise(drawn, inverted, share), share * math.pi / 2
    strength = float(mixed.norm() / drawn.norm())
    assert strength == pytest.approx(1, abs=0.1)
    assert cosine(mixed, inverted) == pytest.approx(math.sin(angle), abs=0.1)
    assert cosine(mixed, drawn) == pytest.approx(math.cos(angle), abs=0.15)  # rings are never of power 1 exactly


def test_what_a_picture_says_is_kept_whole_and_only_the_rest_is_drawn():
    drawn, inverted = white(4, 128, 128), without(white(4, 128, 128, seed=1), low=True)
    mixed = mixed_noise(drawn, inverted, 1.0)
    assert float(mixed.norm() / drawn.norm()) == pytest.approx(1, abs=0.05)
    assert torch.allclose(without(mixed, low=False), without(drawn, low=False), atol=1e-2)
    assert cosine(without(mixed, low=True), inverted) > 0.95


def test_what_is_louder_than_noise_stays_so_with_nothing_added():
    drawn, inverted = white(4, 64, 64), 3 * without(white(4, 64, 64, seed=1), low=True)
    mixed = mixed_noise(drawn, inverted, 1.0)
    low = torch.fft.rfft2(mixed - inverted)[..., :8, :8]
    assert float(low.abs().max()) < 1e-3


@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_plane_of_a_few_cells_has_noise_too(side):
    drawn = white(4, side, side)
    assert torch.allclose(mixed_noise(drawn, torch.zeros_like(drawn), 1.0), drawn, atol=1e-5)
    assert torch.isfinite(mixed_noise(drawn, white(4, side, side, seed=1), 0.5)).all()

"""Noise that belongs to a picture."""

import math

import pytest
import torch
from img2img_studio.core.noise import digest, slerp, stream_seed


def noise(seed, shape=(4, 64, 64)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("amount", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("end", ["other", "equal", "opposite", "near"])
def test_turned_noise_is_as_strong_as_noise(amount, end):
    a = noise(1)
    b = {"other": noise(2), "equal": a.clone(), "opposite": -a, "near": a + 1e-6 * noise(2)}[end]
    turned = slerp(a, b, amount)
    assert torch.isfinite(turned).all()
    assert float(turned.norm()) == pytest.approx(float(a.norm()), rel=0.02)
    assert float(turned.std()) == pytest.approx(1.0, abs=0.03)


def test_the_angle_grows_evenly():
    a, b = noise(1).double(), noise(2).double()

    def angle(x, y):
        return math.acos(float((x * y).sum() / (x.norm() * y.norm())))

    whole = angle(a, b)
    for amount in (0.25, 0.5, 0.75):
        assert angle(a, slerp(a, b, amount)) == pytest.approx(amount * whole, rel=1e-6)


def test_every_amount_of_a_thousand_draws_is_unit_noise_and_further_away():
    amounts = [place / 10 for place in range(11)]
    squares, sums, count = [0.0] * 11, [0.0] * 11, 0
    for draw in range(1000):
        start, end = noise(2 * draw, (4, 16, 16)), noise(2 * draw + 1, (4, 16, 16))
        turned = torch.stack([slerp(start, end, amount) for amount in amounts]).double()
        distances = (turned - start).flatten(1).norm(dim=1)
        assert bool((distances.diff() > 0).all())
        squares = [total + float(one.square().sum()) for total, one in zip(squares, turned, strict=True)]
        sums = [total + float(one.sum()) for total, one in zip(sums, turned, strict=True)]
        count += start.numel()
    for square, total in zip(squares, sums, strict=True):
        assert math.sqrt(square / count - (total / count) ** 2) == pytest.approx(1.0, abs=0.01)


def test_both_ends_keep_their_bits():
    a, b = noise(1), noise(2)
    assert torch.equal(slerp(a, b, 0.0), a)
    assert torch.equal(slerp(a, b, 1.0), b)


def test_no_noise_is_blended():
    a = noise(1)
    assert torch.allclose(slerp(a, torch.zeros_like(a), 0.25), 0.75 * a)
    assert torch.equal(slerp(torch.zeros_like(a), torch.zeros_like(a), 0.5), torch.zeros_like(a))


def test_every_stream_item_and_interval_has_its_own_seed():
    seeds = {
        stream_seed(seed, item, stream, *sigmas)
        for seed in (0, 1, 2**64 - 1)
        for item in (0, 1)
        for stream in ("step", "brownian")
        for sigmas in ((), (1.0, 0.5), (0.5, 0.25))
    }
    assert len(seeds) == 36
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_digest_knows_bits_shape_and_type():
    a = noise(3)
    changed = a.clone()
    changed[0, 0, 0] = torch.nextafter(changed[0, 0, 0], torch.tensor(9.0))
    others = [changed, a.reshape(-1), a.half(), a.bfloat16(), a.transpose(1, 2)]
    assert digest(a) == digest(a.clone())
    assert len({digest(a), *map(digest, others)}) == 6

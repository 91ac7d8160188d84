"""Fixed points of functions whose solution is known."""

import pytest
import torch
from img2img_studio.core.fixed_point import fixed_point


def test_a_diverging_fixed_point_is_tamed():
    """Plain iteration of z = 3 - 2 z, with the solution 1, doubles the distance at every step."""
    found = fixed_point(lambda z: 3 - 2 * z, torch.tensor([[1.5]]), 12)
    assert float(found) == pytest.approx(1.0, abs=1e-3)


def test_a_fixed_point_is_mixed_from_its_history():
    """With four numbers for each item and a linear function, four mixed values hold the solution."""
    generator = torch.Generator().manual_seed(3)
    turn = 0.4 * torch.randn(4, 4, generator=generator, dtype=torch.float64)
    shift = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    solution = torch.linalg.solve(torch.eye(4) - turn, shift.mT).mT
    found = fixed_point(lambda z: z @ turn.mT + shift, torch.zeros_like(shift), 5)
    assert float((found - solution).abs().max()) < 1e-9


def test_each_item_of_a_fixed_point_is_its_own():
    """One item converges and one diverges; both come out as they do alone."""
    factors = torch.tensor([[0.3], [-3.0]], dtype=torch.float64)
    guess = torch.tensor([[2.0], [2.0]], dtype=torch.float64)
    together = fixed_point(lambda z: factors * z.tanh() + 1, guess, 6)
    alone = [
        fixed_point(lambda z, factor=factor: factor * z.tanh() + 1, one[None], 6)
        for factor, one in zip(factors, guess, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), rtol=0, atol=1e-12)


def test_a_fixed_point_that_is_met_stays():
    point = torch.tensor([[1.0, 2.0]])
    found = fixed_point(lambda z: point, point, 8)
    assert torch.allclose(found, point)

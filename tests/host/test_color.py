"""Colors brought to a reference, and pictures compared, with kornia as ComfyUI brings it."""

import json

import pytest
import torch
from img2img_studio.core.color import METHODS, delta_e, match_channels, match_colors, mean_and_covariance, to_lab


def picture(seed, height=24, width=20, batch=1):
    coarse = torch.rand(batch, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (0.2 + 0.6 * smooth.clamp(0, 1)).movedim(1, -1)


def left_half(height=24, width=20):
    mask = torch.zeros(1, height, width)
    mask[:, :, : width // 2] = 1
    return mask


@pytest.mark.parametrize("method", METHODS)
def test_matching_a_picture_to_itself_changes_nothing(method):
    for image in (picture(1), torch.full((1, 8, 8, 3), 0.4, dtype=torch.float64)):
        assert float((match_colors(image, image, method) - image).abs().max()) < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_matched_colors_are_the_references(method):
    image, reference = picture(1), picture(2, 30, 16)
    before, after = image, match_colors(image, reference, method)
    aim = to_lab(reference).mean((2, 3))
    assert float((to_lab(after).mean((2, 3)) - aim).norm()) < 0.2 * float((to_lab(before).mean((2, 3)) - aim).norm())


def test_monge_kantorovich_undoes_a_recoloring():
    image = picture(3)
    root = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.8, 0.05], [0.0, 0.05, 1.05]], dtype=torch.float64)
    recolored = image @ (root @ root.T) * 0.8 + 0.05
    assert float(recolored.min()) > 0
    assert float(recolored.max()) < 1
    assert delta_e(recolored, image)[0] > 5
    assert delta_e(match_colors(recolored, image, "monge_kantorovich"), image)[0] < 1


def test_a_latent_gets_the_colors_of_each_region_and_keeps_its_detail():
    draw = torch.Generator().manual_seed(5)
    reference = torch.nn.functional.interpolate(torch.randn(2, 4, 2, 2, generator=draw), size=(40, 40))
    grain = 0.1 * torch.randn(2, 4, 40, 40, generator=draw)
    spoiled = 0.7 * reference.roll(20, -1) + 0.5 + 3 * grain
    matched = match_channels(spoiled, reference + grain)
    region = (..., slice(6, 14), slice(26, 34))  # well inside one of the four
    assert torch.allclose(matched[region].mean((2, 3)), reference[region].mean((2, 3)), atol=0.1)
    correlation = torch.corrcoef(torch.stack([matched[region].flatten() - reference[region].flatten(),
                                              grain[region].flatten()]))  # fmt: skip
    assert correlation[0, 1] > 0.9
    assert torch.allclose(match_channels(spoiled, spoiled), spoiled, atol=1e-5)
    assert match_channels(spoiled[:, :, None], reference[:, :, None]).shape == (2, 4, 1, 40, 40)


def test_colors_without_contrast_leave_the_detail_as_strong_as_it_is():
    reference, checks = torch.full((1, 2, 40, 40), 0.3), torch.ones(40, 40)
    checks[::2, ::2] = checks[1::2, 1::2] = -1  # too fine to be a color
    matched = match_channels(0.5 + 0.2 * checks.expand(1, 2, 40, 40), reference, contrast=False)
    assert torch.allclose(matched[..., 8:32, 8:32], (0.3 + 0.2 * checks)[8:32, 8:32].expand(1, 2, 24, 24), atol=1e-3)


def test_excluded_pixels_do_not_count():
    colors = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = (torch.arange(50) < 20).double()
    mean, covariance = mean_and_covariance(torch.where(weight[:, None] > 0, colors, 99.0), weight)
    assert torch.allclose(mean, colors[:20].mean(0), atol=1e-12)
    assert torch.allclose(covariance, torch.cov(colors[:20].T, correction=0), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_restricts_both_statistics_and_effect(method):
    image, reference = picture(1), picture(2)
    mask = left_half()
    spoiled = reference.clone()
    spoiled[:, :, 10:] = 0.9
    out = match_colors(image, reference, method, mask=mask)
    assert torch.equal(out[:, :, 10:], image[:, :, 10:])
    assert torch.allclose(out, match_colors(image, spoiled, method, mask=mask), atol=1e-9)
    alone = match_colors(image[:, :, :10], reference[:, :, :10], method)
    assert torch.allclose(out[:, :, :10], alone, atol=1e-5)


def test_strength_alpha_and_depth_are_respected():
    image = torch.cat([picture(1), torch.full((1, 24, 20, 1), 0.3, dtype=torch.float64)], -1).float()
    reference = picture(2).float()
    assert torch.equal(match_colors(image, reference, "lab_mean_std", 0.0), image)
    out = match_colors(image, reference, "lab_mean_std", 0.5)
    assert torch.equal(out[..., 3], image[..., 3])
    fine = image + torch.linspace(0, 1e-4, 20)[:, None]
    steps = match_colors(fine, reference, "lab_mean_std")[0, 0, :, 0]
    assert len(steps.unique()) == 20  # no 8-bit step on the way


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "magic"}, "method must be one of"), ({"mask": torch.zeros(1, 24, 20)}, "mask: it is empty")],
)
def test_wrong_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        match_colors(picture(1), picture(2), **{"method": "histogram", **options})


def test_delta_e_is_the_distance_in_lab():
    black, white = torch.zeros(2, 8, 8, 3), torch.ones(2, 8, 8, 3)
    assert delta_e(black, white) == pytest.approx([100.0, 100.0], abs=1e-3)
    assert delta_e(white, white) == [0.0, 0.0]


def test_compare_images_measures(nodes):
    compare = nodes["Img2ImgCompareImages"].execute
    image = picture(1, 32, 32, batch=2).float()
    mse, psnr, ssim, report = compare(image, image).args
    assert (mse, psnr) == (0.0, 200.0)
    assert ssim == pytest.approx(1.0)
    assert json.loads(report)["identical"] is True
    other = image.clone()
    other[:, :, :16] += 0.1
    mse, psnr, ssim, report = compare(image, other).args
    assert mse == pytest.approx(0.005, rel=1e-4)
    assert psnr == pytest.approx(23.01, abs=0.01)
    assert ssim < 1.0
    assert json.loads(report)["changed_pixels"] == 2 * 32 * 16
    kept = left_half(32, 32)
    assert compare(image, other, 1 - kept).args[0] == 0.0
    assert compare(image, other, kept).args[0] == pytest.approx(0.01, rel=1e-4)
    assert compare(image, other[:1]).args[0] > 0
    with pytest.raises(
        ValueError, match="image_b: it is 2 pictures of 32 x 16 pixels, but image_a is 2 pictures of 32 x 32"
    ):
        compare(image, image[:, :16])
    with pytest.raises(ValueError, match="mask: nothing is left under it"):
        compare(image, image, torch.zeros(1, 32, 32))


def test_match_colors_node(nodes):
    image, reference = picture(1).float(), picture(2).float()
    out = nodes["Img2ImgMatchColors"].execute(image, reference, "histogram", 1.0).args[0]
    assert torch.equal(out, match_colors(image, reference, "histogram"))

"""FitImage, UnfitImage, StrengthPreset and StrengthPlot as ComfyUI runs them, on models of its own classes."""

import comfy.model_patcher
import comfy.supported_models
import pytest
import torch
from img2img_studio import host
from img2img_studio.core.plot import SIZE
from img2img_studio.core.schedule import MEASURES
from img2img_studio.dev.models import FAMILIES, FLUX_OF_NEWER_HOSTS, random_model

CPU = torch.device("cpu")
FLUX = {
    "image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": 8, "context_in_dim": 8,
    "hidden_size": 16, "mlp_ratio": 1.0, "num_heads": 1, "depth": 1, "depth_single_blocks": 1, "axes_dim": [4, 6, 6],
    "theta": 100, "patch_size": 2, "qkv_bias": True, **FLUX_OF_NEWER_HOSTS,
}  # fmt: skip


def flux_model(config, guidance_embed):
    """A MODEL around a tiny Flux network with random weights."""
    config = config(FLUX | {"guidance_embed": guidance_embed})
    config.set_inference_dtype(torch.float32, None)
    return comfy.model_patcher.ModelPatcher(config.get_model({}), CPU, CPU)


@pytest.fixture(scope="module")
def models():
    return {
        "eps": random_model("eps"),
        "flux dev": flux_model(comfy.supported_models.Flux, True),
        "flux schnell": flux_model(comfy.supported_models.FluxSchnell, False),
    }


def picture(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("shape", [(1, 100, 75, 3), (3, 61, 100, 3), (2, 100, 99, 4), (1, 1, 100, 3), (1, 96, 100, 1)])
@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("fill", ["edge", "reflect", "mean", "black"])
def test_there_and_back_is_bit_equal(nodes, shape, fit, fill):
    image = picture(*shape)
    fitted, mask, info, white = nodes["Img2ImgFitImage"].execute(image, 100, fit, "keep aspect", 8, fill).result
    assert fitted.shape[1] % 8 == fitted.shape[2] % 8 == 0
    assert mask.shape == fitted.shape[:3]
    assert torch.equal(white, torch.ones_like(mask))
    (restored,) = nodes["Img2ImgUnfitImage"].execute(fitted, info, image).result
    assert restored.shape == image.shape
    assert torch.equal(restored, image) or (fit == "crop" and min(shape[1:3]) < 8)


@pytest.mark.parametrize("target", [0, 48, 160])
@pytest.mark.parametrize("shape", ["keep aspect", "square"])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_a_mask_goes_along_and_nothing_outside_it_changes(nodes, target, shape, fit):
    original, mask = picture(2, 101, 75, 4), torch.zeros(1, 101, 75)
    mask[:, 30:70, 20:50] = 1.0
    image = original[..., :3]
    fitted, padding, info, carried = nodes["Img2ImgFitImage"].execute(image, target, fit, shape, 8, "edge", mask).result
    assert carried.shape[1:] == fitted.shape[1:3]
    assert carried[padding[:1] == 1].eq(1).all()
    for given in (mask, carried):  # the mask of the original, or the one that came along
        (result,) = nodes["Img2ImgUnfitImage"].execute(1.0 - fitted, info, original, given).result
        assert result.shape == image.shape
        outside = (mask == 0).expand(2, -1, -1) if given is mask else _far_from(mask).expand(2, -1, -1)
        assert torch.equal(result[outside], image[outside])
        assert not torch.equal(result, image)


def _far_from(mask):
    """Where a mask was not, and scaling it up or down could not have brought it."""
    return torch.nn.functional.max_pool2d(mask, 31, stride=1, padding=15) == 0


def test_a_mask_without_its_original_is_refused(nodes):
    fitted, _, info, mask = (
        nodes["Img2ImgFitImage"].execute(picture(1, 16, 16, 3), 0, "pad", "square", 8, "edge").result
    )
    with pytest.raises(ValueError, match=r"original: .*connect it"):
        nodes["Img2ImgUnfitImage"].execute(fitted, info, mask=mask)


def test_the_schemas_are_the_promised_ones(nodes):
    promised = {
        "Img2ImgFitImage": ["image", "target", "fit", "shape", "fill", "mask", "multiple"],
        "Img2ImgUnfitImage": ["image", "fit_info", "original", "mask"],
        "Img2ImgStrengthPreset": ["use_case", "amount", "model"],
        "Img2ImgStrengthPlot": ["model", "scheduler", "steps", "strengths", "measure", "step_count"],
    }
    for name, inputs in promised.items():
        schema = nodes[name].GET_SCHEMA()
        assert [entry.id for entry in schema.inputs] == inputs
        assert all(entry.tooltip for entry in schema.inputs)


def test_only_models_with_built_in_guidance_are_distilled(models):
    assert {name: host.is_guidance_distilled(model) for name, model in models.items()} == {
        "eps": False,
        "flux dev": True,
        "flux schnell": True,
    }
    for name, model in models.items():
        assert [host.Guidance(model, [], [], cfg).twice for cfg in (1.0, 4.0)] == [False, name != "eps"]


def test_the_preset_asks_the_model_for_cfg(nodes, models):
    preset = nodes["Img2ImgStrengthPreset"]
    assert preset.execute("style transfer", 0.5).result[:3] == (0.6, 10.0, 30)
    assert preset.execute("style transfer", 0.5, models["eps"]).result[:3] == (0.6, 10.0, 30)
    assert preset.execute("style transfer", 0.5, models["flux dev"]).result[:3] == (0.6, 1.0, 30)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_plot_is_drawn_for_every_family_and_measure(nodes, family, measure):
    model = random_model(family)
    (image,) = nodes["Img2ImgStrengthPlot"].execute(model, "normal", 50, "0, 0.05, 0.5, 1.0", measure).result
    assert image.shape == (1, SIZE[1], SIZE[0], 3)
    assert image.dtype == torch.float32
    assert 0 <= image.min() < image.max() <= 1


def test_the_plot_shows_the_model_it_is_given(nodes):
    plots = [
        nodes["Img2ImgStrengthPlot"].execute(random_model(family), "normal", 50, "0.5").result[0]
        for family in ("eps", "flux")
    ]
    assert not torch.equal(*plots)


@pytest.mark.parametrize("strengths", ["", "0.5, 1.2", "half", ", ".join(["0.5"] * 102)])
def test_a_plot_needs_strengths(nodes, models, strengths):
    with pytest.raises(ValueError, match="strengths"):
        nodes["Img2ImgStrengthPlot"].execute(models["eps"], "normal", 50, strengths)

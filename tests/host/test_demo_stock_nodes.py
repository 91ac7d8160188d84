"""Stock nodes take the toy checkpoint for an ordinary one: to save, sample, tile, patch, and in half precision."""

import comfy.cli_args
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_model_advanced import (
    ModelSamplingContinuousEDM,
    ModelSamplingDiscrete,
    ModelSamplingSD3,
    RescaleCFG,
)
from comfy_extras.nodes_model_merging import CheckpointSave
from comfy_extras.nodes_pag import PerturbedAttentionGuidance

import nodes as stock

FAMILIES = ["eps", "flow"]


@pytest.fixture(scope="module")
def load(nodes):
    """Family or name of a saved toy -> MODEL, CLIP, VAE, example."""
    with torch.inference_mode():
        loaded = {}

        def load(name):
            if name not in loaded:
                loaded[name] = nodes["Img2ImgDemoCheckpoint"].execute(name).args
            return loaded[name]

        yield load


def painted(model, clip, sampler="euler", batch=1, steps=2, items=None, side=8):
    """A latent painted by the stock sampler."""
    (positive,), (negative,) = (stock.CLIPTextEncode().encode(clip, text) for text in ("a red house at night", ""))
    empty = {"samples": torch.zeros(batch, 4, side, side)} | ({} if items is None else {"batch_index": items})
    (latent,) = stock.KSampler().sample(model, 5, steps, 3.0, sampler, "normal", positive, negative, empty)
    return latent["samples"]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_checkpoint_save_writes_the_demo_loader_reads(nodes, load, family):
    model, clip, vae, example = load(family)
    demo = nodes["Img2ImgDemoCheckpoint"]
    before = demo.INPUT_TYPES()["required"]["family"][1]["options"]
    CheckpointSave().save(model, clip, vae, "checkpoints/toy")
    (name,) = set(demo.INPUT_TYPES()["required"]["family"][1]["options"]) - set(before)
    again, its_clip, its_vae, _ = load(name)
    assert again.model.model_type.name == family.upper()
    assert torch.equal(painted(again, its_clip), painted(model, clip))
    assert torch.equal(its_vae.decode(its_vae.encode(example)), vae.decode(vae.encode(example)))


def test_a_name_that_is_no_saved_toy_is_refused(nodes):
    with pytest.raises(ValueError, match=r"family: '\.\./other\.safetensors' is unknown here; choose one of eps, flow"):
        nodes["Img2ImgDemoCheckpoint"].execute("../other.safetensors")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sampler_of_the_host_runs(load, family):
    model, clip, _, _ = load(family)
    for sampler in comfy.samplers.KSampler.SAMPLERS:
        assert torch.isfinite(painted(model, clip, sampler, side=4)).all(), sampler


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_of_a_batch_of_sixteen_is_the_same_alone(load, family):
    model, clip, _, _ = load(family)
    batch = painted(model, clip, batch=16, items=list(range(16)))
    alone = painted(model, clip, items=[11])
    torch.testing.assert_close(batch[11:12], alone, rtol=1e-3, atol=2e-3)


def test_tiles_of_the_vae_make_the_same_picture(load):
    _, _, vae, example = load("eps")
    picture = torch.nn.functional.interpolate(example.movedim(-1, 1), (192, 128)).movedim(1, -1)
    whole, tiled = (
        stock.VAEEncode().encode(vae, picture)[0]["samples"],
        stock.VAEEncodeTiled().encode(vae, picture, tile_size=128, overlap=32)[0]["samples"],
    )
    assert (whole - tiled).square().mean() < 0.01 * whole.square().mean()
    (decoded,) = stock.VAEDecode().decode(vae, {"samples": whole})
    (pieced,) = stock.VAEDecodeTiled().decode(vae, {"samples": whole}, tile_size=128, overlap=32)
    assert pieced.shape == decoded.shape == picture.shape
    assert (decoded - pieced).square().mean() < 1e-3


PATCHES = {
    "v prediction": ("eps", lambda model: ModelSamplingDiscrete().patch(model, "v_prediction", False)),
    "zero SNR": ("eps", lambda model: ModelSamplingDiscrete().patch(model, "eps", True)),
    "LCM": ("eps", lambda model: ModelSamplingDiscrete().patch(model, "lcm", False)),
    "x0": ("eps", lambda model: ModelSamplingDiscrete().patch(model, "x0", False)),
    "EDM": ("eps", lambda model: ModelSamplingContinuousEDM().patch(model, "eps", 80.0, 0.01)),
    "shift": ("flow", lambda model: ModelSamplingSD3().patch(model, 3.0)),
    "rescaled cfg": ("eps", lambda model: RescaleCFG().patch(model, 0.7)),
    "FreeU": ("eps", lambda model: FreeU_V2().patch(model, 1.3, 1.4, 0.9, 0.2)),
    "perturbed attention": ("flow", lambda model: PerturbedAttentionGuidance.execute(model, 3.0).args),
}


@pytest.mark.parametrize("name", PATCHES)
def test_model_patches_take_effect_and_leave_the_model_as_it_was(load, name):
    family, patch = PATCHES[name]
    model, clip, _, _ = load(family)
    before = painted(model, clip, side=16)
    (patched,) = patch(model)
    changed = painted(patched, clip, side=16)
    assert torch.isfinite(changed).all()
    assert not torch.allclose(changed, before, atol=1e-3)
    assert torch.equal(painted(model, clip, side=16), before)


@pytest.mark.parametrize(
    ("family", "patch"),
    [
        ("eps", lambda model: ModelSamplingDiscrete().patch(model, "eps", False)),
        ("flow", lambda model: ModelSamplingSD3().patch(model, 1.0)),
    ],
    ids=FAMILIES,
)
def test_the_hosts_own_sampling_of_the_family_is_what_the_toy_has(load, family, patch):
    model, clip, _, _ = load(family)
    (patched,) = patch(model)
    assert torch.equal(painted(patched, clip), painted(model, clip))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_paints_nearly_the_same(nodes, load, monkeypatch, family, precision):
    model, clip, _, _ = load(family)
    monkeypatch.setattr(comfy.cli_args.args, f"{precision}_unet", True)
    half = nodes["Img2ImgDemoCheckpoint"].execute(family).args[0]
    assert next(half.model.diffusion_model.parameters()).element_size() == 2
    exact, near = painted(model, clip), painted(half, clip)
    assert (near - exact).square().mean() < 0.01 * exact.square().mean()

"""NullTextOptimize in ComfyUI's inference mode: the picture comes back under guidance, and the model is unharmed."""

import gc
import json
import weakref
from dataclasses import replace

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import pytest
import torch
from img2img_studio.dev.models import FLUX_OF_NEWER_HOSTS, fill_randomly, random_conditioning, random_model

from nodes import KSampler

CFG = 7.5
PROMPT, NEGATIVE = random_conditioning(1), random_conditioning(2)


@pytest.fixture
def optimize(nodes):
    def run(model, inversion, cfg=CFG, rounds=3, rate=0.1, prompt=PROMPT, negative=NEGATIVE):
        out = nodes["Img2ImgNullTextOptimize"].execute(model, prompt, inversion, cfg, rounds, rate, negative).args
        return out[0], json.loads(out[1])

    return run


@pytest.fixture
def invert(nodes):
    def run(model, latent, method="ddim", steps=4, strength=1.0, prompt=PROMPT, keep=True, cfg=1.0, negative=NEGATIVE):
        args = (model, prompt, latent, "normal", steps, strength, method, 2, cfg, 4, negative, keep)
        return nodes["DDIMInvert"].execute(*args).args[0]

    return run


@pytest.fixture
def back(nodes):
    def run(model, inversion, prompt=PROMPT, negative=NEGATIVE, mask=None, cfg=CFG):
        args = (model, prompt, negative, inversion, cfg, 0.0, mask)
        return nodes["Img2ImgInversionSampler"].execute(*args).args[0]["samples"]

    return run


@pytest.fixture(scope="module")
def models():
    return {family: random_model(family) for family in ("eps", "flow", "video flow")}


def picture(model, batch=1, side=8):
    form = model.get_model_object("latent_format")
    shape = [batch, form.latent_channels, *([3] if form.latent_dimensions == 3 else []), side, side]
    return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(5)) / form.scale_factor}


def error(model, a, b):
    into = model.get_model_object("process_latent_in")
    return float((into(a) - into(b)).square().mean())


def weights_of(model):
    """Every weight itself, what it held, and whether it wants gradients."""
    return [(weight, weight.detach().clone(), weight.requires_grad) for weight in tensors_of(model)]


def tensors_of(model):
    network = model.model.diffusion_model
    return [*network.parameters(), *network.buffers()]


def assert_unharmed(model, before):
    for weight, (same, held, wants_gradients) in zip(tensors_of(model), before, strict=True):
        assert weight is same
        assert torch.equal(weight, held)
        assert weight.requires_grad == wants_gradients
        assert weight.grad is None
    assert torch.is_inference_mode_enabled()


def stock_run(model):
    return KSampler().sample(model, 1, 2, 5.0, "euler", "normal", PROMPT, NEGATIVE, picture(model))[0]["samples"]


@pytest.mark.parametrize("family", ["eps", "flow"])
@pytest.mark.parametrize("starts_empty", [True, False])
def test_the_toys_picture_comes_back_ten_times_better_than_by_ddim(nodes, invert, optimize, back, family, starts_empty):
    model, clip, vae, example = nodes["Img2ImgDemoCheckpoint"].execute(family).args
    said, empty = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in ("a red house in summer", ""))
    latent = {"samples": vae.encode(example[..., :3])}
    inversion = invert(model, latent, steps=10, prompt=said)
    plain = error(model, back(model, inversion, said, empty), latent["samples"])
    rounds, rate = (6, 0.1) if starts_empty else (3, 0.01)
    found, report = optimize(model, inversion, CFG, rounds, rate, said, empty if starts_empty else None)
    ours = error(model, back(model, found, said, empty), latent["samples"])
    assert ours < plain / 10
    assert report["latent_mse"] == [pytest.approx(ours, rel=1e-3)]


def test_the_report_says_what_it_cost(models, invert, optimize):
    model = models["eps"]
    inversion = invert(model, picture(model))
    _, report = optimize(model, inversion)
    assert report["model_calls"] == sum(report["calls"].values())
    assert report["calls"]["guided"] == report["calls"]["conditional"] == 4
    # one to measure the memory, one for each change, and one after the last change of a step
    assert report["calls"]["unconditional"] <= 1 + 4 * (3 + 1)
    assert 0 < report["backward_passes"] <= 4 * 3
    losses = report["losses"][0]
    assert len(losses["first"]) == len(losses["last"]) == 4
    assert all(last <= first for first, last in zip(losses["first"], losses["last"], strict=True))
    assert report["memory_bytes"]["gradients"] > 0
    assert report["start"] == "negative"


def test_it_leaves_the_model_as_it_was(models, invert, optimize):
    model = models["eps"]
    before, stock = weights_of(model), stock_run(model)
    found = optimize(model, invert(model, picture(model)))[0]
    assert_unharmed(model, before)
    assert torch.equal(stock_run(model), stock)
    again = optimize(model, invert(model, picture(model)))[0]
    assert all(torch.equal(a, b) for a, b in zip(found.embeddings, again.embeddings, strict=True))


def test_weights_loaded_in_inference_mode_are_copied_for_the_time(invert, optimize):
    """As those of real checkpoints are, by a node; others are used as they are."""
    for loaded_inside in (True, False):
        with torch.inference_mode(loaded_inside):
            model = random_model("eps")
        before = weights_of(model)
        assert {weight.is_inference() for weight in tensors_of(model)} == {loaded_inside}
        _, report = optimize(model, invert(model, picture(model)))
        assert report["memory_bytes"]["weights"] == loaded_inside * sum(w.nbytes for w in tensors_of(model))
        assert_unharmed(model, before)


@pytest.mark.parametrize("moment", [1, 9])
def test_cancelling_stops_at_the_next_call_and_the_next_run_is_the_same(invert, optimize, moment):
    model = random_model("flow")
    inversion, before, stock = invert(model, picture(model)), weights_of(model), stock_run(model)
    undisturbed = optimize(model, inversion)[0]
    calls, copies = [], []

    def cancel(apply_model, arguments):
        calls.append(1)
        copies.extend(weakref.ref(weight) for weight in tensors_of(model))
        comfy.model_management.interrupt_current_processing(len(calls) == moment)
        return apply_model(arguments["input"], arguments["timestep"], **arguments["c"])

    watched = model.clone()
    watched.set_model_unet_function_wrapper(cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        optimize(watched, inversion)
    assert len(calls) == moment
    assert_unharmed(model, before)
    gc.collect()
    own = {id(weight) for weight in tensors_of(model)}
    assert copies
    assert all(copy() is None or id(copy()) in own for copy in copies), "copies of weights are still in memory"
    assert torch.equal(stock_run(model), stock)
    again = optimize(model, inversion)[0]
    assert all(torch.equal(a, b) for a, b in zip(again.embeddings, undisturbed.embeddings, strict=True))


def repeated(inversion, count):
    """An inversion of one picture as one of a batch of the same picture."""
    together = {
        name: tuple(torch.cat([one] * count) for one in getattr(inversion, name))
        for name in ("trajectory", "embeddings")
    }
    clean, state = (torch.cat([one] * count) for one in (inversion.clean, inversion.state))
    return replace(inversion, clean=clean, state=state, **together)


def test_an_item_of_a_batch_is_the_same_alone(models, invert, optimize, back):
    model = models["eps"]
    three = invert(model, picture(model, 3))
    path = tuple(state[1:2] for state in three.trajectory)
    one = replace(three, clean=three.clean[1:2], state=three.state[1:2], trajectory=path)
    together, alone = (optimize(model, inversion)[0] for inversion in (three, one))
    assert together.embeddings[0].shape == (3, 7, 32)
    assert all(torch.equal(a[1:2], b) for a, b in zip(together.embeddings, alone.embeddings, strict=True))
    among_others, by_itself = back(model, together)[1:2], back(model, alone)
    assert torch.equal(among_others, back(model, repeated(alone, 3))[:1])
    # Some processors multiply a batch of one by another kernel: apart by rounding, in units of the latent's spread.
    assert float((among_others - by_itself).abs().max() / by_itself.std()) < 5e-5


def test_prompts_of_their_own_for_the_pictures_of_a_batch(models, invert, optimize):
    model = models["eps"]
    three = invert(model, picture(model, 3))
    prompts = [random_conditioning(seed)[0][0] for seed in (1, 8, 9)]
    together = optimize(model, three, prompt=[[torch.cat(prompts), {}]])[0]
    path = tuple(state[1:2] for state in three.trajectory)
    one = replace(three, clean=three.clean[1:2], state=three.state[1:2], trajectory=path)
    alone = optimize(model, one, prompt=[[prompts[1], {}]])[0]
    assert all(torch.equal(a[1:2], b) for a, b in zip(together.embeddings, alone.embeddings, strict=True))


def test_a_mask_keeps_the_outside(models, invert, optimize, back):
    model = models["eps"]
    latent = picture(model)
    found = optimize(model, invert(model, latent))[0]
    mask = torch.zeros(1, 8, 8)
    mask[:, :4] = 1
    masked, whole = (back(model, found, random_conditioning(9), mask=area) for area in (mask, None))
    assert torch.equal(masked[:, :, 4:], latent["samples"][:, :, 4:])
    assert torch.equal(masked[:, :, :4], whole[:, :, :4])
    assert not torch.equal(whole[:, :, 4:], latent["samples"][:, :, 4:])


def test_without_a_round_it_is_negative_prompt_inversion(models, invert, optimize, back):
    """With the prompt itself as the negative prompt guidance does nothing (arXiv:2305.16807)."""
    model = models["flow"]
    inversion = invert(model, picture(model))
    found, report = optimize(model, inversion, rounds=0, negative=None)
    assert report["start"] == "positive"
    assert report["backward_passes"] == 0
    assert torch.allclose(back(model, found), back(model, inversion, cfg=1.0), atol=1e-4)


def test_strength_zero_has_nothing_to_optimize(models, invert, optimize, back):
    model = models["eps"]
    latent = picture(model)
    found, report = optimize(model, invert(model, latent, strength=0.0))
    assert (report["model_calls"], found.embeddings) == (0, ())
    assert torch.equal(back(model, found), latent["samples"])


def test_half_precision_gives_sound_numbers(invert, optimize, back):
    model = random_model("eps", dtype=torch.float16)
    found, report = optimize(model, invert(model, picture(model)))
    assert report["backward_passes"] > 0
    assert all(torch.isfinite(embedding).all() for embedding in found.embeddings)
    assert torch.isfinite(back(model, found)).all()


def tiny(config_class, latent_width=32, **shape):
    """A MODEL of one of ComfyUI's transformer classes with random weights, and a prompt for it."""
    config = config_class(shape)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    fill_randomly(model.diffusion_model, 0)
    device, offload = comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
    prompts = [random_conditioning(seed, latent_width) for seed in (1, 2)]
    for ((_, options),) in prompts:
        options.update(pooled_output=torch.ones(1, 16), guidance=1.0)
    return comfy.model_patcher.ModelPatcher(model, device, offload), *prompts


def test_a_video_transformer_works(invert, optimize, back):
    model, prompt, negative = tiny(
        comfy.supported_models.WAN21_T2V, image_model="wan2.1", model_type="t2v", dim=48, ffn_dim=64, num_heads=2,
        num_layers=1, text_dim=32, freq_dim=32, in_dim=16, out_dim=16, patch_size=(1, 2, 2), text_len=7,
    )  # fmt: skip
    latent = picture(model)
    assert latent["samples"].ndim == 5
    inversion = invert(model, latent, prompt=prompt, negative=negative)
    _, report = optimize(model, inversion, prompt=prompt, negative=negative)
    assert report["losses"][0]["last"][0] < report["losses"][0]["first"][0]


def test_a_model_that_overwrites_what_gradients_need_is_refused(invert, optimize):
    model, prompt, negative = tiny(
        comfy.supported_models.Flux, image_model="flux", in_channels=16, out_channels=16, patch_size=2, vec_in_dim=16,
        context_in_dim=32, hidden_size=48, mlp_ratio=2.0, num_heads=2, depth=1, depth_single_blocks=1,
        axes_dim=[8, 8, 8], theta=10000, qkv_bias=True, guidance_embed=True, **FLUX_OF_NEWER_HOSTS,
    )  # fmt: skip
    inversion, before = invert(model, picture(model), prompt=prompt, negative=negative), weights_of(model)
    with pytest.raises(ValueError, match=r"model: ComfyUI runs Flux .* use the method exact or pinned"):
        optimize(model, inversion, prompt=prompt, negative=negative)
    assert_unharmed(model, before)


def test_too_little_memory_is_said_before_anything_is_done(invert, optimize):
    model = random_model("eps")
    inversion, before = invert(model, picture(model)), weights_of(model)
    model.model.memory_usage_factor = 1e9  # what the host takes a model to need for each pixel
    with pytest.raises(ValueError, match=r"needs .* GB for weights, .* GB are free .* use a smaller picture"):
        optimize(model, inversion)
    assert_unharmed(model, before)


def test_bad_input_is_refused_with_a_way_out(models, invert, optimize):
    model = models["eps"]
    latent = picture(model)
    for inversion, options, words in (
        (invert(model, latent, keep=False), {}, "switch keep_trajectory on in Invert to Noise"),
        (invert(model, latent, "noise_maps"), {}, "set method to corrected in Invert to Noise"),
        (invert(model, latent, cfg=3.0), {}, "made at cfg 3, .* set cfg to 1 in Invert to Noise"),
        (invert(model, latent), {"cfg": 1.0}, "cfg: at 1 the negative prompt says nothing"),
        (invert(model, latent), {"negative": NEGATIVE + PROMPT}, "several prompts in one"),
        (invert(models["flow"], latent), {}, "another family"),
    ):
        with pytest.raises(ValueError, match=words):
            optimize(model, inversion, **options)
    video = models["video flow"]
    with pytest.raises(ValueError, match="changes nothing in its answer"):
        optimize(video, invert(video, picture(video)))

"""Bad input and canceled runs: a clear word or a sound picture, and a server that works on as before."""

import shutil

import pytest
import safetensors.torch
import torch
from img2img_studio.dev.server import ServerError

SAMPLER = "Img2ImgGuidedSampler"


@pytest.fixture
def latent_of(server, find):
    """Run a prompt and give back the latent that the sampler returned, as it was, bit for bit."""

    def run(prompt):
        prompt = prompt | {"900": {"class_type": "SaveLatent", "inputs": {"samples": [find(prompt, SAMPLER), 0]}}}
        prompt["900"]["inputs"]["filename_prefix"] = "latents/test"
        (place,) = server.run(prompt).outputs["900"]["latents"]
        path = server.folder / "output" / place["subfolder"] / place["filename"]
        return safetensors.torch.load_file(path)["latent_tensor"]

    return run


@pytest.fixture
def between(find):
    """Put a stock node between SDEditNoise and the sampler."""

    def insert(prompt, kind, **values):
        noised = [find(prompt, "SDEditNoise"), 0]
        inputs = {name: noised if value == "the noised latent" else value for name, value in values.items()}
        prompt["800"] = {"class_type": kind, "inputs": inputs}
        prompt[find(prompt, SAMPLER)]["inputs"]["latent"] = ["800", 0]
        return prompt

    return insert


NOISED = "the noised latent"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("LatentFlip", {"samples": NOISED, "flip_method": "y-axis: horizontally"}),
        ("LatentAdd", {"samples1": NOISED, "samples2": NOISED}),
        ("LatentUpscaleBy", {"samples": NOISED, "upscale_method": "bilinear", "scale_by": 1.5}),
        ("RepeatLatentBatch", {"samples": NOISED, "amount": 2}),
    ],
)
def test_a_noised_latent_changed_by_a_stock_node_is_sampled_as_it_is(prompt, latent_of, between, kind, values):
    plain = latent_of(prompt)
    changed = latent_of(between(prompt, kind, **values))
    assert changed.isfinite().all()
    assert changed.shape != plain.shape or not changed.equal(plain)


def test_a_noised_latent_that_was_saved_and_loaded_is_sampled(server, prompt, latent_of, between, find):
    noised = {"samples": [find(prompt, "SDEditNoise"), 0], "filename_prefix": "latents/noised"}
    saver = {"700": {"class_type": "SaveLatent", "inputs": noised}}
    (place,) = server.run(prompt | saver).outputs["700"]["latents"]
    shutil.copy(server.folder / "output" / place["subfolder"] / place["filename"], server.folder / "input")
    loaded = latent_of(between(prompt, "LoadLatent", latent=place["filename"]))
    assert loaded.isfinite().all()


def test_other_sigmas_than_it_was_noised_for_are_refused_by_name(prompt, latent_of, find):
    schedule = prompt[find(prompt, "StrengthScheduler")]
    prompt["800"] = {"class_type": "StrengthScheduler", "inputs": schedule["inputs"] | {"strength": 0.3}}
    inputs = prompt[find(prompt, SAMPLER)]["inputs"]
    right, inputs["sigmas"] = inputs["sigmas"], ["800", 0]
    with pytest.raises(ServerError, match="sigmas"):
        latent_of(prompt)
    inputs["sigmas"] = right
    assert_healthy(prompt, latent_of, find)


def test_a_mask_of_another_size_is_resized(prompt, latent_of, find):
    plain = latent_of(prompt)
    prompt["800"] = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 37, "height": 11}}
    prompt[find(prompt, SAMPLER)]["inputs"]["mask"] = ["800", 0]
    assert latent_of(prompt).equal(plain)


def test_strength_zero_gives_the_input_back(server, prompt, latent_of, find):
    prompt[find(prompt, "StrengthScheduler")]["inputs"]["strength"] = 0.0
    returned = latent_of(prompt)
    encoded = prompt | {
        "700": {
            "class_type": "SaveLatent",
            "inputs": {"samples": [find(prompt, "VAEEncode"), 0], "filename_prefix": "latents/encoded"},
        }
    }
    (place,) = server.run(encoded).outputs["700"]["latents"]
    path = server.folder / "output" / place["subfolder"] / place["filename"]
    assert returned.equal(safetensors.torch.load_file(path)["latent_tensor"])


@pytest.mark.parametrize("strength", [1.5, -0.1, "NaN"])
def test_a_strength_out_of_range_is_named(server, prompt, latent_of, find, strength):
    prompt[find(prompt, "StrengthScheduler")]["inputs"]["strength"] = strength
    with pytest.raises(ServerError, match="strength"):
        server.run(prompt)
    assert_healthy(prompt, latent_of, find)


def test_a_video_latent_with_an_image_model_is_refused_by_name(server, prompt, latent_of, find):
    video = {"width": 128, "height": 128, "length": 5, "batch_size": 1}
    prompt["800"] = {"class_type": "EmptyHunyuanLatentVideo", "inputs": video}
    for kind in ("SDEditNoise", SAMPLER):
        prompt[find(prompt, kind)]["inputs"]["latent"] = ["800", 0]
    with pytest.raises(ServerError, match="latent"):
        server.run(prompt)
    prompt[find(prompt, "SDEditNoise")]["inputs"]["latent"] = [find(prompt, "VAEEncode"), 0]
    prompt[find(prompt, SAMPLER)]["inputs"]["latent"] = [find(prompt, "SDEditNoise"), 0]
    assert_healthy(prompt, latent_of, find)


def test_a_latent_that_is_not_finite_is_refused_by_name(server, prompt, latent_of, between, find):
    broken = between(prompt, "LatentMultiply", samples=NOISED, multiplier="NaN")
    with pytest.raises(ServerError, match="latent"):
        server.run(broken)
    prompt[find(prompt, SAMPLER)]["inputs"]["latent"] = [find(prompt, "SDEditNoise"), 0]
    assert_healthy(prompt, latent_of, find)


def test_cancelling_half_way_leaves_the_next_run_bit_identical(server, prompt, latent_of, find):
    undisturbed = latent_of(prompt)
    steps = prompt[find(prompt, "StrengthScheduler")]["inputs"]
    long = {name: {**node, "inputs": dict(node["inputs"])} for name, node in prompt.items()}
    long[find(prompt, "StrengthScheduler")]["inputs"] = steps | {"steps": 500}

    def cancel(event):
        if event["type"] == "progress" and event["data"]["value"] >= 5:
            server.interrupt()

    run = server.run(long, cancel)
    assert run.interrupted
    reached = max(event["data"]["value"] for event in run.events if event["type"] == "progress")
    assert 5 <= reached < 500
    # The canceled run had other sigmas, so nothing of the sampler's is left in ComfyUI's cache.
    assert latent_of(prompt).equal(undisturbed)


def test_a_run_shows_its_progress(server, prompt, find):
    prompt[find(prompt, SAMPLER)]["inputs"]["seed"] = 123
    run = server.run(prompt)
    steps = [event["data"] for event in run.events if event["type"] == "progress"]
    assert [step["value"] for step in steps] == sorted(step["value"] for step in steps)
    assert steps[-1]["value"] == steps[-1]["max"]


def assert_healthy(prompt, latent_of, find):
    """The next prompt runs, not out of the cache, and gives a sound latent."""
    prompt[find(prompt, "StrengthScheduler")]["inputs"].update(strength=0.5, steps=3)
    prompt[find(prompt, "SDEditNoise")]["inputs"]["seed"] = int(torch.randint(2**31, ()))
    assert latent_of(prompt).isfinite().all()

"""Inversion on a running server: the same bits after other prompts, and a cancel that harms nothing."""

import pytest
import safetensors.torch

INVERT, NULL_TEXT, BACK = "DDIMInvert", "Img2ImgNullTextOptimize", "Img2ImgInversionSampler"


def inverted(text="a red house", method="corrected", cfg=3.0, **null_text):
    """The example picture of the toy up to noise and down again; with null_text, held under guidance between."""
    models = {"model": ["toy", 0]}
    prompt = {
        "toy": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "text": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["toy", 1], "text": text}},
        "empty": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["toy", 1], "text": ""}},
        "encoded": {"class_type": "VAEEncode", "inputs": {"pixels": ["toy", 3], "vae": ["toy", 2]}},
        "up": {
            "class_type": INVERT,
            "inputs": models
            | {"positive": ["text", 0], "latent": ["encoded", 0], "scheduler": "normal", "steps": 4, "strength": 1.0}
            | {"method": method, "corrector_steps": 1, "cfg": 1.0, "seed": 7, "keep_trajectory": True},
        },
        "down": {
            "class_type": BACK,
            "inputs": models
            | {"positive": ["text", 0], "negative": ["empty", 0], "inversion": ["up", 0], "cfg": cfg, "preserve": 0.0},
        },
        "noise": {"class_type": "SaveLatent", "inputs": {"samples": ["up", 1], "filename_prefix": "latents/noise"}},
        "picture": {"class_type": "SaveLatent", "inputs": {"samples": ["down", 0], "filename_prefix": "latents/back"}},
    }
    if null_text:
        held = {"positive": ["text", 0], "negative": ["empty", 0], "inversion": ["up", 0], "cfg": cfg}
        prompt["held"] = {"class_type": NULL_TEXT, "inputs": models | held | null_text}
        prompt["down"]["inputs"]["inversion"] = ["held", 0]
    return prompt


@pytest.fixture
def latents(server):
    """Run a prompt and give back what its SaveLatent nodes saved, bit for bit."""

    def run(prompt):
        outputs = server.run(prompt).outputs
        places = [outputs[name]["latents"][0] for name in ("noise", "picture")]
        paths = [server.folder / "output" / place["subfolder"] / place["filename"] for place in places]
        return [safetensors.torch.load_file(path)["latent_tensor"] for path in paths]

    return run


@pytest.mark.parametrize("method", ["corrected", "noise_maps"])
def test_the_same_inputs_give_the_same_bits_after_other_prompts_and_from_the_cache(latents, method):
    first = latents(inverted(method=method))
    latents(inverted("a blue house, night", method=method))
    again = latents(inverted(method=method))
    noise, other = latents(inverted(method=method, cfg=1.5))  # the inversion comes out of the cache
    back = latents(inverted(method=method))
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    assert all(a.equal(b) for a, b in zip(first, back, strict=True))
    assert noise.equal(first[0])
    assert not other.equal(first[1])


def test_cancelling_null_text_leaves_the_next_run_bit_identical(server, latents):
    undisturbed = latents(inverted())

    reached = []

    def cancel(event):
        if event["type"] == "progress" and event["data"]["node"] == "held":
            reached.append(event["data"]["value"])
            server.interrupt()

    long = {"inner_steps": 200, "learning_rate": 0.0001}
    run = server.run(inverted("a green house", **long), cancel)
    assert run.interrupted
    assert max(reached) < 4
    assert all(a.equal(b) for a, b in zip(latents(inverted()), undisturbed, strict=True))


def test_null_text_gives_the_same_bits_again(latents):
    settings = {"inner_steps": 2, "learning_rate": 0.1}
    first = latents(inverted(**settings))
    latents(inverted("a green house", **settings))
    assert all(a.equal(b) for a, b in zip(latents(inverted(**settings)), first, strict=True))

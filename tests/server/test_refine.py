"""ProgressiveRefine over HTTP: its report runs again to the same bits in another process, and bad text never runs."""

import json

import pytest
from img2img_studio.dev.server import Server, ServerError


@pytest.fixture
def refined(prompt, find):
    """The toy workflow with ProgressiveRefine in place of its sampler; a function of the recipe."""
    sampler, encoder = find(prompt, "Img2ImgGuidedSampler"), find(prompt, "VAEEncode")
    old = prompt[sampler]["inputs"]

    def build(recipe="", touched=False):
        inputs = {name: old[name] for name in ("model", "positive", "negative", "cfg", "sampler_name", "seed")}
        latent = [encoder, 0]
        prompt["801"] = {"class_type": "LatentMultiply", "inputs": {"samples": latent, "multiplier": 1.01}}
        inputs |= {"latent": ["801", 0] if touched else latent, "strengths": "0.6, 0.3", "steps": 3}
        inputs |= {"scheduler": "normal", "seed_mode": "increment", "recipe": recipe}
        prompt["800"] = {"class_type": "ProgressiveRefine", "inputs": inputs}
        prompt["802"] = {"class_type": "PreviewAny", "inputs": {"source": ["800", 2]}}
        return {name: prompt[name] for name in wanted(prompt, "802")}

    return build


def wanted(prompt, name):
    """A node and everything it needs."""
    links = [value[0] for value in prompt[name]["inputs"].values() if isinstance(value, list)]
    return {name, *(other for link in links for other in wanted(prompt, link))}


def report_of(server, prompt):
    return json.loads(server.run(prompt).outputs["802"]["text"][0])


def test_a_recipe_is_identical_after_a_restart_and_names_what_differs(server, refined, tmp_path):
    report = report_of(server, refined())
    with Server(server.host, tmp_path, ["--cpu"]) as restarted:
        again = report_of(restarted, refined(json.dumps(report)))
        assert again["recipe_check"] == {"identical": True}
        check = report_of(restarted, refined(json.dumps(report), touched=True))["recipe_check"]
    assert check["identical"] is False
    assert check["differs"] == ["input"]
    assert check["largest_difference"] > 0


def test_unreadable_strengths_are_refused_before_anything_runs(server, refined):
    prompt = refined()
    prompt["800"]["inputs"]["strengths"] = "0.5, x"
    with pytest.raises(ServerError, match="strengths - 'x' at character 6"):
        server.run(prompt)

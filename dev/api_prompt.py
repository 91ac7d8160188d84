"""Small changes to a queued prompt (ComfyUI's API format): another model, picture, text or strength.

Every function returns a new prompt and leaves the one it was given as it was.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

TOY_SIZE = 128  # the toy checkpoint was trained on pictures of this many pixels
HAS_STRENGTH = (
    "StrengthScheduler", "Img2ImgAllInOne", "VariationBatch", "Img2ImgStrengthGrid", "Img2ImgTiledRefine",
    "Img2ImgPromptEdit",
)  # fmt: skip

Prompt = dict[str, Any]


class NotInWorkflow(ValueError):
    """The workflow has no node that could be changed as asked."""


def on_demo_checkpoint(prompt: Prompt, keep_control_net: bool = False) -> Prompt:
    """Load the toy checkpoint in place of a real one, and work at its size.

    There is no ControlNet for the toy, so unless `keep_control_net` the conditioning goes round it.
    """
    prompt = deepcopy(prompt)
    for node in _of(prompt, "CheckpointLoaderSimple"):
        node.update(class_type="Img2ImgDemoCheckpoint", inputs={"family": "eps"})
    for node in _of(prompt, "Img2ImgFitImage"):
        node["inputs"]["target"] = min(node["inputs"]["target"], TOY_SIZE)
    for node in _of(prompt, "Img2ImgCropForMask"):
        node["inputs"] |= {"target": TOY_SIZE, "context": 2.0}  # it knows whole scenes only: let it see most of one
    for node in _of(prompt, "Img2ImgTiledRefine"):
        node["inputs"] |= {"tile": TOY_SIZE, "overlap": TOY_SIZE // 4}
    for node in _of(prompt, "Img2ImgNullTextOptimize"):
        node["inputs"] |= {"inner_steps": 3, "learning_rate": 0.1}  # its embeddings need only a few large steps
    if not keep_control_net:
        for name in [name for name, node in prompt.items() if node["class_type"] == "ControlNetApplyAdvanced"]:
            inputs = prompt.pop(name)["inputs"]
            _reconnect(prompt, [name, 0], inputs["positive"])
            _reconnect(prompt, [name, 1], inputs["negative"])
        for name in [name for name, node in prompt.items() if node["class_type"] == "ControlNetLoader"]:
            del prompt[name]
    return prompt


def with_checkpoint(prompt: Prompt, name: str) -> Prompt:
    """Load the checkpoint file `name`, as ComfyUI lists it."""
    return _set(prompt, "ckpt_name", name, ("CheckpointLoaderSimple",))


def with_strength(prompt: Prompt, strength: float) -> Prompt:
    """Set the strength of every node that takes it as one value."""
    return _set(prompt, "strength", strength, HAS_STRENGTH)


def with_text(prompt: Prompt, text: str) -> Prompt:
    """Set the prompt that says what to paint."""
    prompt = deepcopy(prompt)
    wanted = [node for node in _of(prompt, "CLIPTextEncode") if node["_meta"]["title"] == "Prompt"]
    if not wanted:
        raise NotInWorkflow("This workflow has no node titled Prompt to put the text into.")
    for node in wanted:
        node["inputs"]["text"] = text
    return prompt


def with_picture(prompt: Prompt, name: str) -> Prompt:
    """Start from the picture `name` of the input folder, in place of the loaded or the bundled one."""
    prompt = deepcopy(prompt)
    loaders = _of(prompt, "LoadImage")
    for node in loaders:
        node["inputs"]["image"] = name
    if not loaders:
        toy = next(number for number, node in prompt.items() if node["class_type"] == "Img2ImgDemoCheckpoint")
        fitting = {"target": TOY_SIZE, "fit": "pad", "shape": "keep aspect", "multiple": 8, "fill": "edge"}
        loaded = _add(prompt, "LoadImage", {"image": name})
        fitted = _add(prompt, "Img2ImgFitImage", {"image": [loaded, 0], **fitting})
        _reconnect(prompt, [toy, 3], [fitted, 0])
    return prompt


def with_start_shown(prompt: Prompt) -> tuple[Prompt, str]:
    """Also show the picture that sampling starts from; returns the id of the node that shows it."""
    prompt = deepcopy(prompt)
    readers = _of(prompt, "VAEEncode", "Img2ImgAllInOne", "Img2ImgTiledRefine")
    start = next(node["inputs"].get("pixels", node["inputs"].get("image")) for node in readers)
    return prompt, _add(prompt, "PreviewImage", {"images": start})


def savers(prompt: Prompt) -> list[str]:
    """The ids of the nodes that save its results."""
    return [name for name, node in prompt.items() if node["class_type"] == "SaveImage"]


def _of(prompt: Prompt, *kinds: str) -> list[dict[str, Any]]:
    return [node for node in prompt.values() if node["class_type"] in kinds]


def _set(prompt: Prompt, name: str, value: Any, kinds: tuple[str, ...]) -> Prompt:
    prompt = deepcopy(prompt)
    nodes = _of(prompt, *kinds)
    if not nodes:
        raise NotInWorkflow(f"This workflow has no {name} to set: it has none of the nodes {', '.join(kinds)}.")
    for node in nodes:
        node["inputs"][name] = value
    return prompt


def _add(prompt: Prompt, kind: str, inputs: dict[str, Any]) -> str:
    number = str(max(int(name) for name in prompt) + 1)
    prompt[number] = {"class_type": kind, "inputs": inputs}
    return number


def _reconnect(prompt: Prompt, old: list[Any], new: list[Any]) -> None:
    for node in prompt.values():
        node["inputs"] = {name: new if value == old else value for name, value in node["inputs"].items()}

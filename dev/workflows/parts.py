"""What the workflows have in common: the models they name, and the groups that most of them begin and end with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..graph import Graph, Node, Output

CHECKPOINT = {
    "name": "v1-5-pruned-emaonly-fp16.safetensors",
    "url": "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"
    "v1-5-pruned-emaonly-fp16.safetensors?download=true",
    "directory": "checkpoints",
}
CONTROL_NET = {
    "name": "control_v11p_sd15_scribble_fp16.safetensors",
    "url": "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main/"
    "control_v11p_sd15_scribble_fp16.safetensors?download=true",
    "directory": "controlnet",
}
GIRL = "a girl with blonde hair in a pink dress on a green hill, blue sky, watercolor painting, soft light"
UNWANTED = "blurry, distorted, text, watermark"
SAMPLING: dict[str, Any] = {"sampler_name": "euler", "scheduler": "normal", "steps": 20}
RESULT = 380
PAINT_A_MASK = "Paint what may change: right-click **Load Image**, *Open in Mask Editor*, save, Run."


Widget = tuple[Node, str]
"""A widget that App Mode shows: its node and its name."""


@dataclass
class Source:
    """A picture as it came, as the model gets it, and the node that loads it.

    shown: the widgets by which App Mode lets the user choose it
    """

    original: Output
    fitted: Node
    mask: Output | None
    shown: list[Widget]

    @property
    def image(self) -> Output:
        """The picture at the model's size."""
        return self.fitted["image"]

    @property
    def fitted_mask(self) -> Output:
        """The mask at the model's size."""
        return self.fitted["mask"]


def picture(graph: Graph, masked: bool = False, width: int = 290) -> Source:
    """The picture as it was loaded, with the mask painted on it, and the node that fits it to the model."""
    graph.column("Your picture", width)
    loaded = graph.add("LoadImage", image="example.png")
    if masked:
        graph.note(PAINT_A_MASK)
    return fit(graph, loaded["IMAGE"], [(loaded, "image")], loaded["MASK"] if masked else None)


def fit(graph: Graph, image: Output, shown: list[Widget], mask: Output | None = None) -> Source:
    """A picture, and its mask, brought to the model's size."""
    masking: dict[str, Any] = {} if mask is None else {"mask": mask}
    return Source(image, graph.add("Img2ImgFitImage", image=image, target=512, **masking), mask, shown)


def checkpoint(graph: Graph, below: bool = False, noted: bool = True) -> Node:
    """The loader of a real checkpoint, and where to get one.

    below: under the picture, which leaves room for long graphs, and not in a column of its own
    """
    if below:
        graph.below("Model")
    else:
        graph.column("Model", 290)
    loader = graph.add("CheckpointLoaderSimple", models=CHECKPOINT, ckpt_name=CHECKPOINT["name"])
    if noted:
        graph.note(f"Choose one you have, or [download]({CHECKPOINT['url']}) this.")
    return loader


@dataclass
class Prompts:
    """The conditioning of a prompt and of a negative prompt, and the node with the text that an app shows."""

    positive: Output
    negative: Output
    text: Node


def prompts(graph: Graph, clip: Output, positive: str, negative: str = UNWANTED, width: int = 0) -> Prompts:
    """What the picture should show, and what not: in a column of its own that is so wide, or below the model."""
    if width:
        graph.column("Prompt", width)
    else:
        graph.below("Prompt")
    return said(graph, clip, positive, negative)


def said(graph: Graph, clip: Output, positive: str, negative: str) -> Prompts:
    """The two prompts."""
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=clip, text=positive)
    unwanted = graph.add("CLIPTextEncode", "Negative prompt", clip=clip, text=negative)
    return Prompts(wanted["CONDITIONING"], unwanted["CONDITIONING"], wanted)


def all_in_one(graph: Graph, models: Node, image: Output, said: Prompts, **settings: Any) -> Node:
    """The whole way from picture to picture in one node."""
    return graph.add(
        "Img2ImgAllInOne",
        image=image,
        model=models["MODEL"],
        vae=models["VAE"],
        positive=said.positive,
        negative=said.negative,
        **SAMPLING | settings,
    )


def on_latent(graph: Graph, kind: str, models: Node, latent: Output, said: Prompts, **settings: Any) -> Node:
    """A node of `kind` that noises and samples a latent by itself."""
    given: dict[str, Any] = {"positive": said.positive, "negative": said.negative} | SAMPLING | settings
    return graph.add(kind, model=models["MODEL"], vae=models["VAE"], latent=latent, **given)


def encoded(graph: Graph, image: Output, models: Node) -> Output:
    """The latent of a picture."""
    return graph.add("VAEEncode", pixels=image, vae=models["VAE"])["LATENT"]


def chain(
    graph: Graph, models: Node, image: Output, said: Prompts, strength: float, cfg: float, **masking: Any
) -> tuple[Node, list[Widget]]:
    """Encode, noise to a strength, sample: node by node, under one seed; the sampler, and what App Mode shows."""
    graph.below("Strength")
    schedule = graph.add("StrengthScheduler", model=models["MODEL"], scheduler="normal", steps=20, strength=strength)
    seed = graph.add("PrimitiveInt", "Seed")
    graph.column("Encode, add noise, paint", 330)
    latent = graph.add("VAEEncode", pixels=image, vae=models["VAE"])
    given: dict[str, Any] = {"sigmas": schedule["sigmas"], "seed": seed["INT"]}
    noised = graph.add("SDEditNoise", model=models["MODEL"], latent=latent["LATENT"], **given, **masking)
    sampled = graph.add(
        "Img2ImgGuidedSampler",
        model=models["MODEL"],
        positive=said.positive,
        negative=said.negative,
        latent=noised["noised"],
        cfg=cfg,
        sampler_name="euler",
        **given,
    )
    return sampled, [(schedule, "strength"), (seed, "value")]


def result(
    graph: Graph, made: Output, source: Source, prefix: str, vae: Output | None = None, width: int = RESULT
) -> Node:
    """A result saved at the size the user came with, in a column of its own.

    made: a picture, or a latent that `vae` decodes
    """
    graph.column("Result", width)
    return save(graph, unfitted(graph, made, source, vae), prefix)


def kept(graph: Graph, made: Output, source: Source, prefix: str, vae: Output | None = None) -> Node:
    """As `result`, with the original's own pixels put back outside the mask."""
    graph.column("Result", 285)
    given: dict[str, Any] = {"original": source.original, "mask": source.mask, "blend": "seamless"}
    same = graph.add("Img2ImgKeepUnmasked", edited=unfitted(graph, made, source, vae), **given)
    return save(graph, same["image"], prefix)


def unfitted(graph: Graph, made: Output, source: Source, vae: Output | None = None) -> Output:
    """A picture, or a latent that `vae` decodes, at the size the user came with."""
    image = graph.add("VAEDecode", samples=made, vae=vae)["IMAGE"] if vae else made
    fit_info = source.fitted["fit info"]
    return graph.add("Img2ImgUnfitImage", image=image, fit_info=fit_info, original=source.original)["image"]


def save(graph: Graph, image: Output, prefix: str | Output, title: str | None = None) -> Node:
    """A picture shown and saved."""
    return graph.add("SaveImage", title, images=image, filename_prefix=prefix)

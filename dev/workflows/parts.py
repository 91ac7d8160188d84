"""What the workflows have in common: the models they name, and the columns that most of them begin and end with."""

from __future__ import annotations

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
DRAWN = "a girl in a pink dress on a green hill, child's drawing"
EDITED = "a girl in a blue dress on a snowy hill, child's drawing"
UNWANTED = "blurry, distorted, text, watermark"
SAMPLING: dict[str, Any] = {"sampler_name": "euler", "scheduler": "normal", "steps": 20}


def checkpoint(graph: Graph) -> Node:
    """The loader of a real checkpoint, and where to get one."""
    graph.column("Model")
    loader = graph.add("CheckpointLoaderSimple", models=CHECKPOINT, ckpt_name=CHECKPOINT["name"])
    graph.note(
        f"Any checkpoint works here: choose one you have, or put [{CHECKPOINT['name']}]({CHECKPOINT['url']}) into "
        f"`ComfyUI/models/{CHECKPOINT['directory']}`.",
        150,
    )
    return loader


def picture(graph: Graph) -> tuple[Output, Node]:
    """The picture as it was loaded, and the node that fits it to the model."""
    graph.column("Picture")
    loaded = graph.add("LoadImage", image="example.png")
    return loaded["IMAGE"], graph.add("Img2ImgFitImage", image=loaded["IMAGE"], target=512)


def prompts(graph: Graph, clip: Output, positive: str, negative: str) -> tuple[Output, Output]:
    """The conditioning of a prompt and of a negative prompt."""
    graph.column("Prompt", 380)
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=clip, text=positive)
    unwanted = graph.add("CLIPTextEncode", "Negative prompt", clip=clip, text=negative)
    return wanted["CONDITIONING"], unwanted["CONDITIONING"]


def start(graph: Graph, image: Output, models: Node, strength: float) -> tuple[Output, Output]:
    """Where sampling starts: the encoded picture, and the sigmas for a strength."""
    graph.column("How much may change")
    latent = graph.add("VAEEncode", pixels=image, vae=models["VAE"])
    schedule = graph.add("StrengthScheduler", model=models["MODEL"], scheduler="normal", steps=20, strength=strength)
    return latent["LATENT"], schedule["sigmas"]


def noise_and_sample(
    graph: Graph,
    models: Node,
    positive: Output,
    negative: Output,
    latent: Output,
    sigmas: Output,
    cfg: float,
    **masking: Any,
) -> Node:
    """The picture noised to the first sigma, and sampled from there."""
    graph.column("Paint")
    noised = graph.add("SDEditNoise", model=models["MODEL"], latent=latent, sigmas=sigmas, **masking)
    return graph.add(
        "Img2ImgGuidedSampler",
        model=models["MODEL"],
        positive=positive,
        negative=negative,
        latent=noised["noised"],
        sigmas=sigmas,
        cfg=cfg,
        sampler_name="euler",
    )


def sample_picture(
    graph: Graph, kind: str, models: Node, image: Output, prompts: tuple[Output, Output], **settings: Any
) -> Node:
    """A picture encoded, and a node of `kind` that noises and samples it by itself.

    prompts: the positive and the negative conditioning
    """
    latent = graph.add("VAEEncode", pixels=image, vae=models["VAE"])
    given: dict[str, Any] = dict(zip(("positive", "negative"), prompts, strict=True)) | SAMPLING | settings
    return graph.add(kind, model=models["MODEL"], vae=models["VAE"], latent=latent["LATENT"], **given)


def results(graph: Graph, sampled: Node, vae: Output, prefix: str) -> None:
    """The first latent of a node decoded and saved, and its report."""
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["LATENT"], vae=vae)
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix=prefix)
    graph.add("PreviewAny", "Report", source=sampled["report"])

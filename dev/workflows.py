"""The shipped workflows: `python -m nox -s workflows` writes workflows/*.json anew, and their thumbnails.

Each function of the first half describes one file. The node schemas come from a running server, so that a file cannot
fall behind them, and a test holds the shipped files to what this module builds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from ..core.sheet import labelled_row
from . import comfyui
from .api_prompt import in_the_toys_world, on_demo_checkpoint, savers, with_start_shown
from .graph import Graph, Node, Output
from .server import Server

FOLDER = comfyui.ROOT / "workflows"
DRAWING = comfyui.ROOT / "demo" / "drawing.png"
HEIGHT = 256  # of the thumbnails, in pixels

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


def try_without_a_model(graph: Graph) -> None:
    """The toy checkpoint that ships with the pack gives the model and the picture."""
    graph.column("Toy model and drawing")
    demo = graph.add("Img2ImgDemoCheckpoint")
    graph.add("PreviewImage", "The drawing", images=demo["IMAGE"])
    graph.note(
        "**Press Run.** Nothing to download: a tiny model ships with the pack and brings a drawing of its own.\n\n"
        "The model is a *toy*. It knows small painted scenes and a few words (house, tree, boat, car; colours; day, "
        "sunset, night; summer, autumn, winter), enough to see what every knob does. For real pictures open "
        "*01_image_to_image*.",
        260,
    )
    positive, negative = _prompts(graph, demo["CLIP"], "a blue house in winter, a watercolour", "")
    latent, schedule = _start(graph, demo["IMAGE"], demo, strength=0.6)
    sampled = _noise_and_sample(graph, demo, positive, negative, latent, schedule, cfg=4.0)
    _results(graph, sampled, demo["VAE"], "try_without_a_model")


def image_to_image(graph: Graph) -> None:
    """The whole way with a real model, on a picture of any size and back to that size."""
    checkpoint = _checkpoint(graph)
    picture, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.6)
    sampled = _noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=7.5)
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=checkpoint["VAE"])
    result = graph.add("Img2ImgUnfitImage", image=decoded["IMAGE"], fit_info=fitted["fit info"], original=picture)
    graph.add("SaveImage", images=result["image"], filename_prefix="image_to_image")
    graph.add("PreviewAny", "Report", source=sampled["report"])


def strength_sweep(graph: Graph) -> None:
    """The same picture at four strengths, and what strength means on this model."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.note("One picture, prompt and seed at four strengths. Keep the highest that still holds what you need.", 110)
    strengths = (0.2, 0.4, 0.6, 0.8)
    results = []
    for title, pair in (("Gentle", strengths[:2]), ("Bold", strengths[2:])):
        graph.column(title)
        for strength in pair:
            results.append(
                graph.add(
                    "Img2ImgAllInOne",
                    f"Strength {strength}",
                    image=fitted["image"],
                    model=checkpoint["MODEL"],
                    vae=checkpoint["VAE"],
                    positive=positive,
                    negative=negative,
                    strength=strength,
                    **SAMPLING,
                )
            )
    for title, first in (("Gentle results", 0), ("Bold results", 2)):
        graph.column(title, 380)
        for strength, result in list(zip(strengths, results, strict=True))[first : first + 2]:
            prefix = f"strength_{strength}"
            graph.add("SaveImage", f"Strength {strength}", images=result["image"], filename_prefix=prefix)
    graph.column("What strength means here", 640)
    plot = graph.add("Img2ImgStrengthPlot", model=checkpoint["MODEL"], scheduler="normal")
    graph.add("PreviewImage", images=plot["plot"])


def with_controlnet(graph: Graph) -> None:
    """A ControlNet holds the outlines while a high strength repaints everything between them."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Hold the outlines")
    control_net = graph.add("ControlNetLoader", models=CONTROL_NET, control_net_name=CONTROL_NET["name"])
    outlines = graph.add("Canny", image=fitted["image"])
    control: dict[str, Any] = {"control_net": control_net["CONTROL_NET"], "image": outlines["IMAGE"]}
    held = graph.add("ControlNetApplyAdvanced", positive=positive, negative=negative, **control)
    graph.add("PreviewImage", "Outlines", images=outlines["IMAGE"])
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.85)
    graph.note("With the outlines held by a ControlNet, a strength of 0.8 and more is safe.", 90)
    sampled = _noise_and_sample(graph, checkpoint, held["positive"], held["negative"], latent, schedule, cfg=7.5)
    _results(graph, sampled, checkpoint["VAE"], "with_controlnet")


def change_one_object(graph: Graph) -> None:
    """Another colour for one thing: little strength, much guidance, and a prompt that describes the result."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    graph.note(
        "Load a photo of a **red car on a city street** for this one. The prompt describes the *whole* picture as it "
        "should be, what stays included; the negative prompt names what should go.",
        150,
    )
    positive, negative = _prompts(graph, checkpoint["CLIP"], "A blue car on a city street", "red, distorted, blurry")
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.4)
    sampled = _noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=10.0)
    _results(graph, sampled, checkpoint["VAE"], "change_one_object")


def all_in_one(graph: Graph) -> None:
    """One node for the whole way, set by a recommendation for the job."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Choose the job")
    preset = graph.add("Img2ImgStrengthPreset", use_case="style transfer", model=checkpoint["MODEL"])
    graph.add("PreviewAny", "Why these values", source=preset["note"])
    chosen: dict[str, Any] = SAMPLING | {name: preset[name] for name in ("strength", "cfg", "steps")}
    painted = graph.add(
        "Img2ImgAllInOne",
        image=fitted["image"],
        model=checkpoint["MODEL"],
        vae=checkpoint["VAE"],
        positive=positive,
        negative=negative,
        **chosen,
    )
    graph.column("Result", 420)
    graph.add("SaveImage", images=painted["image"], filename_prefix="all_in_one")
    graph.add("PreviewAny", "Report", source=painted["report"])


def invert_and_reconstruct(graph: Graph) -> None:
    """A picture up to the noise it could have come from, and down again; how much of it was lost, and where."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    inverted, latent = _inverted(graph, fitted["image"], checkpoint, described, strength=1.0, grade=True)
    graph.column("Down again")
    models: dict[str, Any] = {"model": checkpoint["MODEL"], "inversion": inverted["inversion"]}
    same = graph.add("Img2ImgInversionSampler", **models, positive=described, negative=negative, cfg=1.0)
    graph.column("As it was", 420)
    decoded = graph.add("VAEDecode", samples=same["latent"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix="reconstruction")
    graph.column("How much was lost", 420)
    alone = graph.add("VAEDecode", "Only encoded and decoded", samples=latent, vae=checkpoint["VAE"])
    for title, image in (("By the VAE alone", alone["IMAGE"]), ("By both", decoded["IMAGE"])):
        compared = graph.add("Img2ImgCompareImages", title, image_a=image, image_b=fitted["image"])
        graph.add("PreviewAny", title, source=compared["report"])
    graph.note(
        "The node says how well the latent comes back. Beside that, the VAE itself loses a little: compare the two. "
        "Where they are alike, the inversion loses nothing that you could see.",
        150,
    )


def edit_by_inversion(graph: Graph) -> None:
    """Another prompt on the way down changes what it names, and the rest tends to stay."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    inverted, _ = _inverted(graph, fitted["image"], checkpoint, described)
    graph.column("What it shall be", 380)
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=checkpoint["CLIP"], text=EDITED)
    graph.note(
        "Take over the words of the description and change only those that matter. Raise cfg until the edit shows; a "
        "lower *strength* in DDIM Invert keeps more of the picture.",
        150,
    )
    graph.column("Down again")
    models: dict[str, Any] = {"model": checkpoint["MODEL"], "inversion": inverted["inversion"], "negative": negative}
    edited = graph.add("Img2ImgInversionSampler", "Edited", **models, positive=wanted["CONDITIONING"], cfg=4.0)
    same = graph.add("Img2ImgInversionSampler", "As it was", **models, positive=described, cfg=1.0)
    _decoded(graph, checkpoint["VAE"], {"Edited": edited, "As it was": same}, "edit_by_inversion")


def null_text(graph: Graph) -> None:
    """The picture comes back even under strong guidance, so that edits can be guided strongly as well."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    described, negative = _description(graph, checkpoint["CLIP"])
    inverted, _ = _inverted(graph, fitted["image"], checkpoint, described, method="ddim", keep_trajectory=True)
    graph.column("Hold it under guidance")
    models: dict[str, Any] = {"model": checkpoint["MODEL"]}
    held = graph.add(
        "Img2ImgNullTextOptimize",
        **models,
        positive=described,
        inversion=inverted["inversion"],
        negative=negative,
    )
    graph.note(
        "Slow, and it needs memory for gradients: the node says how much before it starts. It pays where you want to "
        "edit one picture many times at high cfg, since this part runs once.",
        150,
    )
    graph.add("PreviewAny", "Report", source=held["report"])
    graph.column("What it shall be", 380)
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=checkpoint["CLIP"], text=EDITED)
    graph.column("Down again")
    models |= {"inversion": held["inversion"], "negative": negative}
    edited = graph.add("Img2ImgInversionSampler", "Edited", **models, positive=wanted["CONDITIONING"])
    same = graph.add("Img2ImgInversionSampler", "As it was", **models, positive=described)
    _decoded(graph, checkpoint["VAE"], {"Edited": edited, "As it was": same}, "null_text")


def progressive_refine(graph: Graph) -> None:
    """Several passes, each gentler than the one before, without leaving latent space."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Pass by pass")
    latent = graph.add("VAEEncode", pixels=fitted["image"], vae=checkpoint["VAE"])
    refined = graph.add(
        "ProgressiveRefine",
        model=checkpoint["MODEL"],
        positive=positive,
        negative=negative,
        latent=latent["LATENT"],
        strengths="0.7, 0.5, 0.3",
        vae=checkpoint["VAE"],
        **SAMPLING,
    )
    graph.note("A bold first pass sets the look, gentler ones tidy up. Add or remove passes in *strengths*.", 110)
    graph.column("Result", 420)
    final = graph.add("VAEDecode", samples=refined["final"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=final["IMAGE"], filename_prefix="progressive_refine")
    graph.add("PreviewAny", "Report", source=refined["report"])
    graph.column("Every pass", 420)
    passes = graph.add("VAEDecode", samples=refined["every pass"], vae=checkpoint["VAE"])
    graph.add("PreviewImage", images=passes["IMAGE"])


def three_prompts_three_passes(graph: Graph) -> None:
    """Each pass has its own prompt: the style first, then the light, then the details."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("A prompt for each pass", 380)
    texts = ("oil painting style", "dramatic sunset lighting", "highly detailed, masterpiece")
    wanted = [
        graph.add("CLIPTextEncode", f"Pass {n + 1}", clip=checkpoint["CLIP"], text=t) for n, t in enumerate(texts)
    ]
    graph.column("Passes")
    before: dict[str, Any] = {}
    for place, strength in enumerate((0.5, 0.3, 0.2)):
        one = graph.add("Img2ImgRefinePass", strength=strength, positive=wanted[place]["CONDITIONING"], **before)
        before = {"passes": one["passes"]}
    graph.column("Pass by pass")
    latent = graph.add("VAEEncode", pixels=fitted["image"], vae=checkpoint["VAE"])
    refined = graph.add(
        "ProgressiveRefine",
        model=checkpoint["MODEL"],
        positive=positive,
        negative=negative,
        latent=latent["LATENT"],
        vae=checkpoint["VAE"],
        **before,
        **SAMPLING,
    )
    graph.note("Each pass is painted under its own prompt; the strip shows how far its colours moved (Delta E).", 110)
    graph.column("Result", 420)
    final = graph.add("VAEDecode", samples=refined["final"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=final["IMAGE"], filename_prefix="three_prompts")
    graph.add("PreviewAny", "Report", source=refined["report"])


def prompt_schedule(graph: Graph) -> None:
    """One prompt for the composition, another one for the details, in a single run."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    early, negative = _prompts(
        graph, checkpoint["CLIP"], "a girl on a green hill, simple shapes, flat colors", UNWANTED
    )
    graph.column("Second prompt", 380)
    late = graph.add("CLIPTextEncode", "Late prompt", clip=checkpoint["CLIP"], text=f"{GIRL}, fine brush strokes")
    scheduled = graph.add("Img2ImgPromptSchedule", early=early, late=late["CONDITIONING"], switch_at=0.4)
    graph.note(
        "The first prompt leads for 40 % of the run that is really executed, whatever the strength; then the second "
        "takes over. Chain another Prompt Schedule for a third.",
        150,
    )
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.7)
    sampled = _noise_and_sample(graph, checkpoint, scheduled["conditioning"], negative, latent, schedule, cfg=7.5)
    _results(graph, sampled, checkpoint["VAE"], "prompt_schedule")


def keep_the_colours(graph: Graph) -> None:
    """Repaint in passes, then give the result the colours the picture had."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Pass by pass")
    latent = graph.add("VAEEncode", pixels=fitted["image"], vae=checkpoint["VAE"])
    refined = graph.add(
        "ProgressiveRefine",
        model=checkpoint["MODEL"],
        positive=positive,
        negative=negative,
        latent=latent["LATENT"],
        strengths="0.5, 0.4, 0.3",
        vae=checkpoint["VAE"],
        max_drift=20.0,
        match_colors="latent",
        **SAMPLING,
    )
    graph.note(
        "Colours drift a little with every pass. The strip shows by how much (Delta E); *max_drift* stops in time, and "
        "*match_colors* pulls them back between passes.",
        150,
    )
    graph.column("Colours", 420)
    decoded = graph.add("VAEDecode", samples=refined["final"], vae=checkpoint["VAE"])
    matched = graph.add(
        "Img2ImgMatchColors", image=decoded["IMAGE"], reference=fitted["image"], method="monge_kantorovich"
    )
    compared = graph.add("Img2ImgCompareImages", image_a=matched["image"], image_b=fitted["image"])
    graph.column("Result", 420)
    graph.add("SaveImage", images=matched["image"], filename_prefix="keep_the_colours")
    graph.add("PreviewAny", "How far from the original", source=compared["report"])
    graph.add("PreviewAny", "Report", source=refined["report"])


def variations(graph: Graph) -> None:
    """Four takes on one picture, each of which can be made again alone from its seed."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Four takes")
    latent = graph.add("VAEEncode", pixels=fitted["image"], vae=checkpoint["VAE"])
    batch = graph.add(
        "VariationBatch",
        model=checkpoint["MODEL"],
        positive=positive,
        negative=negative,
        latent=latent["LATENT"],
        vae=checkpoint["VAE"],
        **SAMPLING,
    )
    graph.note(
        "Click a variation to copy its seed. Write it into *seeds* to make that one again, with more steps if you "
        "like.",
        110,
    )
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=batch["batch"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix="variation")
    graph.add("PreviewAny", "Seeds", source=batch["seeds"])
    graph.add("PreviewAny", "Report", source=batch["report"])


def styles(graph: Graph) -> None:
    """One picture in four styles, each saved under its style's name."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    graph.column("Styles", 380)
    batch = graph.add(
        "Img2ImgStyleBatch",
        clip=checkpoint["CLIP"],
        styles="oil painting\nwatercolor\npencil sketch\nanime, manga",
        template="a girl with blonde hair on a green hill, {style}, masterpiece, detailed, high quality",
    )
    negative = graph.add("CLIPTextEncode", "Negative prompt", clip=checkpoint["CLIP"], text=UNWANTED)
    graph.note("Everything after Style Batch runs once for each line. Add a line, get a picture more.", 110)
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.6)
    sampled = _noise_and_sample(
        graph, checkpoint, batch["conditioning"], negative["CONDITIONING"], latent, schedule, cfg=10.0
    )
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=checkpoint["VAE"])
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix=batch["styles"])


def strength_by_guidance(graph: Graph) -> None:
    """Strength against guidance on one sheet, the way to find the settings for a picture."""
    _grid(
        graph,
        "Strength says how much may change, cfg how strictly the prompt is followed. Click the cells "
        "you like best, run again, and the report counts them; nothing is painted again.",
        rows="strength",
        row_values="0.3, 0.6, 0.9",
        columns="cfg",
        column_values="4, 7.5, 12",
    )


def compare_samplers(graph: Graph) -> None:
    """Samplers against steps at one strength, with likeness and seconds in the report."""
    _grid(
        graph,
        "The report lists for each cell how like the input it is (SSIM) and how many seconds it took.",
        rows="sampler",
        row_values="ddim, ddpm, dpmpp_2m",
        columns="steps",
        column_values="10, 20, 30, 50",
        strength=0.5,
    )


def folder(graph: Graph) -> None:
    """A whole folder, one picture for each queued run."""
    checkpoint = _checkpoint(graph)
    graph.column("Folder")
    loaded = graph.add("Img2ImgFolderImage")
    fitted = graph.add("Img2ImgFitImage", image=loaded["image"], target=512)
    graph.note(
        "Put a folder into ComfyUI's input folder and write its name. Queue as many runs as it holds pictures: the "
        "index counts up by itself, and the last run says that all are done.",
        170,
    )
    positive, negative = _prompts(graph, checkpoint["CLIP"], "watercolor painting, soft light, detailed", UNWANTED)
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.5)
    sampled = _noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=7.5)
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=checkpoint["VAE"])
    result = graph.add(
        "Img2ImgUnfitImage", image=decoded["IMAGE"], fit_info=fitted["fit info"], original=loaded["image"]
    )
    graph.add("SaveImage", images=result["image"], filename_prefix=loaded["name"])


def inpaint(graph: Graph) -> None:
    """Repaint a part, and prove that the rest is untouched."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    mask = _box(graph, "A box stands in for your mask. Paint your own: right click Load Image, Open in Mask Editor.")
    positive, negative = _prompts(
        graph, checkpoint["CLIP"], "a red house on a green hill, watercolor painting", UNWANTED
    )
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.8)
    sampled = _noise_and_sample(
        graph, checkpoint, positive, negative, latent, schedule, cfg=7.5, mask=mask, masked_content="fill"
    )
    _kept(graph, sampled, checkpoint["VAE"], fitted["image"], mask, "inpaint")


def soft_mask(graph: Graph) -> None:
    """A grey mask is a strength for each pixel: much change on one side, none on the other."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    graph.column("Soft mask")
    left = graph.add("SolidMask", value=0.0, width=512, height=512)
    right = graph.add("FeatherMask", mask=graph.add("InvertMask", mask=left["MASK"])["MASK"], left=500)
    mask = right["MASK"]
    graph.note("From black on the left to white on the right: the picture changes more and more.", 110)
    positive, negative = _prompts(graph, checkpoint["CLIP"], f"{GIRL}, night, stars, moonlight", UNWANTED)
    latent, schedule = _start(graph, fitted["image"], checkpoint, strength=0.8)
    sampled = _noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=7.5, mask=mask)
    _results(graph, sampled, checkpoint["VAE"], "soft_mask")


def outpaint(graph: Graph) -> None:
    """Room on the right of a picture, painted, with the old picture untouched."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    graph.column("Canvas")
    canvas = graph.add("Img2ImgOutpaintCanvas", image=fitted["image"], right=128, fill="reflect")
    graph.note("Add pixels on any side. *feather* lets the new part reach into the old one; 0 leaves it alone.", 110)
    positive, negative = _prompts(graph, checkpoint["CLIP"], f"{GIRL}, wide landscape", UNWANTED)
    latent, schedule = _start(graph, canvas["image"], checkpoint, strength=0.8)
    sampled = _noise_and_sample(graph, checkpoint, positive, negative, latent, schedule, cfg=7.5, mask=canvas["mask"])
    _kept(graph, sampled, checkpoint["VAE"], canvas["image"], canvas["mask"], "outpaint")


def upscale(graph: Graph) -> None:
    """Four times as large, with details painted in, tile by tile."""
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], f"{GIRL}, highly detailed, sharp", UNWANTED)
    graph.column("Enlarge")
    refined = graph.add(
        "Img2ImgTiledRefine",
        image=fitted["image"],
        vae=checkpoint["VAE"],
        model=checkpoint["MODEL"],
        positive=positive,
        negative=negative,
        scale=4.0,
        strength=0.3,
        **SAMPLING,
    )
    graph.note(
        "Keep the strength low, 0.2 to 0.4: enough for new detail, too little for new things in every tile.", 110
    )
    graph.column("Result", 420)
    graph.add("SaveImage", images=refined["image"], filename_prefix="upscale_4x")
    graph.add("PreviewAny", "Report", source=refined["report"])


WORKFLOWS: dict[str, Callable[[Graph], None]] = {
    "00_try_without_a_model": try_without_a_model,
    "01_image_to_image": image_to_image,
    "02_strength_sweep": strength_sweep,
    "03_with_controlnet": with_controlnet,
    "04_change_one_object": change_one_object,
    "05_all_in_one": all_in_one,
    "10_invert_and_reconstruct": invert_and_reconstruct,
    "11_edit_by_inversion": edit_by_inversion,
    "12_null_text": null_text,
    "20_progressive_refine": progressive_refine,
    "21_three_prompts_three_passes": three_prompts_three_passes,
    "22_prompt_schedule": prompt_schedule,
    "23_keep_the_colours": keep_the_colours,
    "30_variations": variations,
    "31_styles": styles,
    "32_strength_by_guidance": strength_by_guidance,
    "33_compare_samplers": compare_samplers,
    "34_folder": folder,
    "40_inpaint": inpaint,
    "41_soft_mask": soft_mask,
    "42_outpaint": outpaint,
    "43_upscale_4x": upscale,
}


def _checkpoint(graph: Graph) -> Node:
    graph.column("Model")
    checkpoint = graph.add("CheckpointLoaderSimple", models=CHECKPOINT, ckpt_name=CHECKPOINT["name"])
    graph.note(
        f"Any checkpoint works here: choose one you have, or put [{CHECKPOINT['name']}]({CHECKPOINT['url']}) into "
        f"`ComfyUI/models/{CHECKPOINT['directory']}`.",
        150,
    )
    return checkpoint


def _picture(graph: Graph) -> tuple[Output, Node]:
    """The picture as it was loaded, and the node that fits it to the model."""
    graph.column("Picture")
    loaded = graph.add("LoadImage", image="example.png")
    return loaded["IMAGE"], graph.add("Img2ImgFitImage", image=loaded["IMAGE"], target=512)


def _prompts(graph: Graph, clip: Output, positive: str, negative: str) -> tuple[Output, Output]:
    graph.column("Prompt", 380)
    wanted = graph.add("CLIPTextEncode", "Prompt", clip=clip, text=positive)
    unwanted = graph.add("CLIPTextEncode", "Negative prompt", clip=clip, text=negative)
    return wanted["CONDITIONING"], unwanted["CONDITIONING"]


def _start(graph: Graph, image: Output, models: Node, strength: float) -> tuple[Output, Output]:
    """Where sampling starts: the encoded picture, and the sigmas for a strength."""
    graph.column("How much may change")
    latent = graph.add("VAEEncode", pixels=image, vae=models["VAE"])
    schedule = graph.add("StrengthScheduler", model=models["MODEL"], scheduler="normal", steps=20, strength=strength)
    return latent["LATENT"], schedule["sigmas"]


def _noise_and_sample(
    graph: Graph,
    models: Node,
    positive: Output,
    negative: Output,
    latent: Output,
    sigmas: Output,
    cfg: float,
    **masking: Any,
) -> Node:
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


def _results(graph: Graph, sampled: Node, vae: Output, prefix: str) -> None:
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=vae)
    graph.add("SaveImage", images=decoded["IMAGE"], filename_prefix=prefix)
    graph.add("PreviewAny", "Report", source=sampled["report"])


def _description(graph: Graph, clip: Output) -> tuple[Output, Output]:
    """What the picture shows, and an empty negative prompt."""
    graph.column("What it shows", 380)
    described = graph.add("CLIPTextEncode", "Description", clip=clip, text=DRAWN)
    negative = graph.add("CLIPTextEncode", "Negative prompt", clip=clip, text="")
    graph.note("Describe the picture **as it is**: with a good description it comes back best.", 90)
    return described["CONDITIONING"], negative["CONDITIONING"]


def _inverted(graph: Graph, image: Output, models: Node, described: Output, **settings: Any) -> tuple[Node, Output]:
    graph.column("Up to noise")
    latent = graph.add("VAEEncode", pixels=image, vae=models["VAE"])["LATENT"]
    inverted = graph.add(
        "DDIMInvert",
        model=models["MODEL"],
        positive=described,
        latent=latent,
        scheduler="normal",
        steps=50,
        **settings,
    )
    graph.add("PreviewAny", "Report", source=inverted["report"])
    return inverted, latent


def _decoded(graph: Graph, vae: Output, results: dict[str, Node], prefix: str) -> None:
    """Results by title, each decoded and saved, side by side."""
    for title, sampled in results.items():
        graph.column(title, 380)
        decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=vae)
        graph.add("SaveImage", title, images=decoded["IMAGE"], filename_prefix=prefix)


def _box(graph: Graph, text: str) -> Output:
    """A white box on black, and a note that tells how to paint a mask instead."""
    graph.column("Mask")
    ground = graph.add("SolidMask", "Keep", value=0.0, width=512, height=512)
    box = graph.add("SolidMask", "Change", value=1.0, width=200, height=200)
    graph.note(text, 110)
    return graph.add("MaskComposite", destination=ground["MASK"], source=box["MASK"], x=56, y=200, operation="add")[
        "MASK"
    ]


def _kept(graph: Graph, sampled: Node, vae: Output, original: Output, mask: Output, prefix: str) -> None:
    """The decoded picture with the original put back outside the mask, and the count of changed pixels."""
    graph.column("Result", 420)
    decoded = graph.add("VAEDecode", samples=sampled["latent"], vae=vae)
    kept = graph.add("Img2ImgKeepUnmasked", original=original, edited=decoded["IMAGE"], mask=mask)
    graph.add("SaveImage", images=kept["image"], filename_prefix=prefix)
    graph.add("PreviewAny", "What changed where", source=kept["report"])


def _grid(graph: Graph, text: str, **axes: Any) -> None:
    checkpoint = _checkpoint(graph)
    _, fitted = _picture(graph)
    positive, negative = _prompts(graph, checkpoint["CLIP"], GIRL, UNWANTED)
    graph.column("Grid", 420)
    latent = graph.add("VAEEncode", pixels=fitted["image"], vae=checkpoint["VAE"])
    grid = graph.add(
        "Img2ImgStrengthGrid",
        model=checkpoint["MODEL"],
        positive=positive,
        negative=negative,
        latent=latent["LATENT"],
        vae=checkpoint["VAE"],
        **(SAMPLING | axes),
    )
    graph.note(text, 110)
    graph.column("Result", 420)
    graph.add("SaveImage", images=grid["sheet"], filename_prefix="grid")
    graph.add("PreviewAny", "Report", source=grid["report"])


def build(name: str, object_info: dict[str, Any]) -> str:
    """The text of one workflow file."""
    graph = Graph(object_info)
    WORKFLOWS[name](graph)
    return json.dumps(graph.to_json(), indent=1, ensure_ascii=False) + "\n"


def thumbnail(workflow: dict[str, Any], server: Server) -> Image.Image:
    """Run a workflow on the toy checkpoint: where it starts, and the pictures that it saves."""
    prompt = on_demo_checkpoint(server.to_prompt(workflow))
    prompt, start = with_start_shown(in_the_toys_world(prompt, server.upload(DRAWING)))
    run = server.run(prompt)
    results = [picture for node in savers(prompt) for picture in server.images(run, node)]
    return labelled_row([*server.images(run, start), *results], ["input"] + ["toy model"] * len(results), HEIGHT, True)


def main() -> None:
    """Write every workflow and its thumbnail."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, Server(comfyui.find(), Path(scratch), ["--cpu"]) as server:
        for name in WORKFLOWS:
            text = build(name, server.object_info)
            (FOLDER / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
            thumbnail(json.loads(text), server).save(FOLDER / f"{name}.jpg", quality=85)
            print(f"Wrote workflows/{name}.json")

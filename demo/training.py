"""The stages that make the demo checkpoint, on ComfyUI's own classes: autoencoder, denoisers, and the files.

ComfyUI picks its device and its attention while it is imported, so demo/train.py imports this file once both are set.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import comfy.ops
import numpy as np
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.taesd.taesd import TAESD
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from . import scene as world
from .fit import DEVICE, Budget, Fit
from .models import LATENT_SCALE, TEXT_CONFIG, UNET_CONFIG, Family, TextEncoder, initialize

HERE = Path(__file__).resolve().parent
SIZE = 128
CROP = 64
LATENT_NOISE = 0.04  # the decoder learns with this much noise, so that a denoiser's small errors stay small
STILL = 0.03  # neighbors that differ by less belong to a flat area
FINE_NOISE = 0.015  # with less of it the latents can carry more
LEAVE_OUT = 0.12  # chance that a caption leaves an attribute unsaid
EMPTY_PROMPTS = 0.12  # share of empty prompts, for classifier-free guidance


def rendered(count: int, work: Path) -> np.ndarray:
    """The training pictures [count, SIZE, SIZE, 3], uint8, drawn once and then read from the work folder."""
    path = work / f"scenes_{count}_{SIZE}.npy"
    if not path.exists():
        partial = path.with_suffix(".part")
        pictures = np.lib.format.open_memmap(partial, "w+", np.uint8, (count, SIZE, SIZE, 3))
        for seed in tqdm(range(count), desc="scenes", mininterval=10):
            pictures[seed] = np.asarray(world.scene(world.random_attributes(seed), seed, SIZE))
        pictures.flush()
        partial.rename(path)
    return np.load(path, mmap_mode="r")


def as_pixels(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [n, h, w, 3] -> float [n, 3, h, w] in -1..1, on the training device."""
    pixels = torch.from_numpy(np.array(pictures)).to(DEVICE).permute(0, 3, 1, 2)
    return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def as_picture(pixels: torch.Tensor, columns: int) -> Image.Image:
    """float [n, 3, h, w] in -1..1 -> one picture, in rows of `columns`."""
    rows = [torch.cat(list(row), dim=2) for row in pixels.split(columns)]
    image = torch.cat(rows, dim=1).clamp(-1, 1).float().add(1).mul(127.5)
    return Image.fromarray(image.byte().permute(1, 2, 0).cpu().numpy())


def held_out(count: int) -> tuple[torch.Tensor, list[world.Attributes]]:
    """The first `count` held-out scenes as pixels, and their attributes."""
    attributes = [world.random_attributes(seed) for seed in world.HELD_OUT_SEEDS[:count]]
    pictures = [world.scene(a, seed, SIZE) for a, seed in zip(attributes, world.HELD_OUT_SEEDS, strict=False)]
    return as_pixels(np.stack([np.asarray(picture) for picture in pictures])), attributes


def random_crops(pictures: np.ndarray, batch: int, step: int) -> torch.Tensor:
    """Crops on the 8-pixel grid of the latents, half of them mirrored; the step decides which."""
    draw = np.random.default_rng((step, 10))
    corners = draw.integers(0, (SIZE - CROP) // 8 + 1, (batch, 2)) * 8
    which = draw.integers(0, len(pictures), batch)
    crops = [pictures[i, y : y + CROP, x : x + CROP] for i, (y, x) in zip(which, corners, strict=True)]
    return as_pixels(np.stack([crop[:, ::-1] if draw.integers(2) else crop for crop in crops]))


def noise_like(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """Unit noise in the tensor's shape from a generator of its own, the same on every device."""
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed)).to(tensor.device)


def picture_error(error: torch.Tensor) -> torch.Tensor:
    """Squared error, which PSNR measures, with a little absolute error for flat areas.

    The error of whole 8x8 blocks counts again, so that the latents learn colors before they learn details.
    """
    blocks = torch.nn.functional.avg_pool2d(error, 8)
    return error.square().mean() + 0.05 * error.abs().mean() + blocks.square().mean()


def autoencoder_sheet(model: TAESD, path: Path) -> None:
    """Held-out scenes above what the autoencoder makes of them; prints the PSNR in dB, over all and by style."""
    pixels, attributes = held_out(64)
    again = model.decode(model.encode(pixels)).clamp(-1, 1)
    psnr = -10 * ((again - pixels) / 2).square().mean(dim=(1, 2, 3)).log10()
    by_style = {s: round(psnr[[a.style == s for a in attributes]].mean().item(), 2) for s in world.STYLES}
    flat = [a.style == "flat" for a in attributes]
    drawn, kept = (sum(part[flat].abs().mean().item() for part in edges(shown)) for shown in (pixels, again))
    tqdm.write(f"held-out PSNR {psnr.mean().item():.2f} dB, {by_style}; edges of flat scenes x {kept / drawn:.3f}")
    as_picture(torch.cat([pixels[:10], again[:10], pixels[10:20], again[10:20]]), 10).save(path)


def train_autoencoder(pictures: np.ndarray, budget: Budget, work: Path) -> TAESD:
    """Encoder and decoder together; the latents are held near mean 0 and deviation 1."""
    model = TAESD()
    initialize(model, seed=1)
    model.get_parameter("taesd_decoder.19.bias").data.fill_(0.5)  # start at mid gray

    def loss(model: TAESD, step: int) -> torch.Tensor:
        pixels = random_crops(pictures, budget.batch, step)
        latent = model.encode(pixels).float()
        error = model.decode(latent + LATENT_NOISE * noise_like(latent, step)).float() - pixels
        spread, center = torch.var_mean(latent, dim=(0, 2, 3))
        return picture_error(error) + 0.002 * (center.square().mean() + (spread - 1).square().mean())

    return Fit("autoencoder", model, budget, work).run(loss, autoencoder_sheet)


def shipped(name: str) -> dict[str, torch.Tensor]:
    """The weights of this folder, in full precision."""
    return {key: value.float() for key, value in load_file(HERE / f"{name}.safetensors").items()}


def shipped_autoencoder() -> TAESD:
    """The autoencoder of this folder."""
    model = TAESD()
    model.load_state_dict(shipped("vae"))
    return model


def edges(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighbors, down and to the right."""
    return pictures.diff(dim=-2), pictures.diff(dim=-1)


def decibels_lost(error: torch.Tensor) -> torch.Tensor:
    """PSNR's own measure, for each picture by itself, and the same of the edges, which also stills what ripples."""
    squared = error.square().mean(dim=(1, 2, 3))
    blurred = torch.stack([part.abs().mean(dim=(1, 2, 3)) for part in edges(error)]).sum(0)
    return (squared + 1e-6).log().mean() + 0.5 * (blurred + 1e-4).log().mean()


def sharpen(model: TAESD, pictures: np.ndarray, budget: Budget, work: Path) -> TAESD:
    """Both halves of a calibrated autoencoder trained on: its edges count too, and its latents stay what they mean.

    Held near those that it began with, they are still read by denoisers which learned from those.
    """
    before = copy.deepcopy(model).eval().requires_grad_(False)
    model = copy.deepcopy(model).requires_grad_(True)
    for number in (model.vae_scale, model.vae_shift):
        number.requires_grad_(False)

    def loss(model: TAESD, step: int) -> torch.Tensor:
        pixels = random_crops(pictures, budget.batch, step)
        latent = model.encode(pixels).float()
        with torch.no_grad():
            drift_from = before.encode(pixels).float()
        noise = FINE_NOISE / LATENT_SCALE * noise_like(latent, step)
        error = model.decode(latent + noise).float() - pixels
        drift = (LATENT_SCALE * (latent - drift_from)).square().mean()
        return decibels_lost(error) + 5 * drift

    return Fit("sharper", model, budget, work).run(loss, autoencoder_sheet)


def ripples(pixels: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """What an error paints onto the flat areas of each picture: the edges of the error where the picture has none."""
    found = torch.zeros(len(pixels), device=pixels.device)
    for drawn, painted in zip(edges(pixels), edges(error), strict=True):
        still = (drawn.abs().amax(dim=1, keepdim=True) < STILL).float()
        found += (painted.abs() * still).sum(dim=(1, 2, 3)) / (3 * still.sum(dim=(1, 2, 3)) + 50)
    return found


def settle(model: TAESD, pictures: np.ndarray, budget: Budget, work: Path) -> TAESD:
    """The decoder alone trained on, from latents with noise, so that flat areas stay flat; the encoder stays."""
    model = copy.deepcopy(model).requires_grad_(False)
    model.taesd_decoder.requires_grad_(True)

    def loss(model: TAESD, step: int) -> torch.Tensor:
        pixels = random_crops(pictures, budget.batch, step)
        latent = model.encode(pixels).float()
        share = torch.from_numpy(np.random.default_rng((step, 12)).random((budget.batch, 1, 1, 1))).float().to(DEVICE)
        noise = LATENT_NOISE / LATENT_SCALE * share * noise_like(latent, step)
        error = model.decode(latent + noise).float() - pixels
        return decibels_lost(error) + (ripples(pixels, error) + 1e-3).log().mean()

    return Fit("decoder", model, budget, work).run(loss, autoencoder_sheet)


@torch.no_grad()
def calibrate(model: TAESD, pictures: np.ndarray) -> None:
    """Set the VAE's own scale and shift so that latent * LATENT_SCALE has mean 0 and deviation 1."""
    latents = torch.cat([model.encode(as_pixels(pictures[i : i + 50])) for i in range(0, min(500, len(pictures)), 50)])
    spread = latents.std() * LATENT_SCALE
    model.vae_shift.copy_((model.vae_shift - latents.mean()) / spread)
    model.vae_scale.mul_(spread)


@torch.no_grad()
def encoded(model: TAESD, pictures: np.ndarray, work: Path) -> torch.Tensor:
    """Pictures in model space [n, 4, SIZE/8, SIZE/8], encoded once and then read from the work folder."""
    path = work / f"latents_{len(pictures)}.pt"
    if not path.exists():
        latents = []
        for start in tqdm(range(0, len(pictures), 20), desc="latents", mininterval=10):
            with torch.autocast(DEVICE.type, torch.bfloat16):
                latents.append(model.encode(as_pixels(pictures[start : start + 20])).float() * LATENT_SCALE)
        torch.save(torch.cat(latents).cpu(), path)
    return torch.load(path).contiguous()


SHEET_PROMPTS = (
    "a red house by day in summer, a flat drawing",
    "a blue boat at sunset in summer, an oil painting",
    "a yellow car at night in winter, pixel art",
    "a purple tree by day in autumn, a watercolor",
    "a white house in the snow at night, a flat drawing",
    "a pencil sketch of a green car in the fall",
    "an oil painting of a white boat at night",
    "a red tree at sunset in winter, a flat drawing",
    "a watercolor of a blue house in summer",
    "pixel art of a green tree in daylight",
    "a house",
    "",
)


def train_denoiser(family: Family, latents: torch.Tensor, vae: TAESD, budget: Budget, work: Path,
                   start: dict[str, torch.Tensor] | None = None) -> UNetModel:  # fmt: skip
    """A UNet of the given family, from random weights or from `start`."""
    model = UNetModel(**UNET_CONFIG, operations=comfy.ops.disable_weight_init)
    initialize(model, seed=3)
    for name, parameter in model.named_parameters():
        # Residual branches start at zero, as in every latent diffusion UNet.
        if name.startswith("out.2") or ".out_layers.3." in name or ".proj_out." in name:
            torch.nn.init.zeros_(parameter)
    if start is not None:
        model.load_state_dict(start)
    text = TextEncoder()

    def loss(model: UNetModel, step: int) -> torch.Tensor:
        draw = np.random.default_rng((step, 11))
        which = draw.integers(0, len(latents), budget.batch)
        prompts = [caption_for(int(seed), step, draw) for seed in which]
        clean = latents[which].to(DEVICE)
        noise = noise_like(clean, step)
        # Evenly spread over the schedule in every batch, which makes the gradient quieter.
        share = torch.from_numpy((draw.random() + np.arange(budget.batch) / budget.batch) % 1).float().to(DEVICE)
        sigma = family.sigma(share)[:, None, None, None]
        state = family.model_input(family.state(clean, noise, sigma), sigma)
        said = model(state, family.timestep(share), context=text(prompts).to(DEVICE))
        return (family.weight(sigma) * (said.float() - family.target(clean, noise)).square()).mean()

    def sheet(model: UNetModel, path: Path) -> None:
        as_picture(decoded_samples(family, model, vae, text), 6).save(path)

    return Fit(family.name, model, budget, work).run(loss, sheet)


def decoded_samples(family: Family, model: torch.nn.Module, vae: TAESD, text: TextEncoder) -> torch.Tensor:
    """A picture for each of SHEET_PROMPTS, [n, 3, SIZE, SIZE] in -1..1, always from the same noise."""
    asked, empty = text(list(SHEET_PROMPTS)).to(DEVICE), text([""]).to(DEVICE)
    noise = noise_like(torch.empty(len(asked), 4, SIZE // 8, SIZE // 8, device=DEVICE), 0)
    return vae.decode(family.sample(model, noise, asked, empty) / LATENT_SCALE)


def caption_for(seed: int, step: int, draw: np.random.Generator) -> str:
    """The caption of a training scene, worded anew at every step, or an empty one."""
    if draw.random() < EMPTY_PROMPTS:
        return ""
    return world.caption(world.random_attributes(seed), seed + step * world.HELD_OUT_SEEDS.start, LEAVE_OUT)


def write(path: Path, state: dict[str, torch.Tensor], what: str, how: str, config: dict[str, object]) -> None:
    """Store weights, single numbers aside, in half precision, with what they are in the metadata."""
    tensors = {k: v.cpu().contiguous() for k, v in state.items()}
    tensors = {k: v.half() if v.is_floating_point() and v.ndim else v for k, v in tensors.items()}
    metadata = {"what": what, "training": how, "license": "GPL-3.0-or-later", "config": json.dumps(config)}
    save_file(tensors, path, metadata=metadata)
    tqdm.write(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


def history(file: str, stages: tuple[str, ...], work: Path, from_shipped: bool) -> str:
    """What the metadata tells of the stages that made a file; after what the shipped one tells, if it began there."""
    told = []
    if from_shipped:
        with safe_open(HERE / f"{file}.safetensors", "pt") as shipped_file:
            told.append(shipped_file.metadata()["training"])
    for stage in stages:
        state = torch.load(work / f"{stage}.pt", map_location="cpu")
        told.append(f"{stage}: {state['step']} steps in {state['spent'] / 60:.0f} minutes on {DEVICE.type}")
    return "; ".join(told)


def export(
    vae: TAESD, denoisers: dict[str, torch.nn.Module], work: Path, out: Path, from_shipped: bool = False
) -> None:
    """Write one safetensors file per model, the example drawing and the sample sheet."""
    stages = ("sharper", "decoder") if from_shipped else ("autoencoder", "sharper", "decoder")
    how = {"vae": history("vae", stages, work, from_shipped)}
    how |= {name: history(name, (name,), work, from_shipped) for name in denoisers}
    write(out / "vae.safetensors", vae.state_dict(), "TAESD-shaped autoencoder of the demo world", how["vae"], {})
    text = TextEncoder()
    frozen = "none: random, fixed by a seed"
    write(out / "text.safetensors", text.state(), "text encoder of the demo world", frozen, TEXT_CONFIG)
    for name, model in denoisers.items():
        what = f"{name} denoiser of the demo world, a toy"
        write(out / f"{name}.safetensors", model.state_dict(), what, how[name], UNET_CONFIG)
    world.scene(world.Attributes(), world.EXAMPLE_SEED).save(out / "drawing.png", optimize=True)
    world.scene(world.Attributes(kind="car"), world.CAR_SEED, 512).save(out / "car.png", optimize=True)
    with torch.no_grad():
        rows = [decoded_samples(Family(name), model, vae, text) for name, model in denoisers.items()]
    as_picture(torch.cat(rows), 6).save(out / "samples.jpg", quality=85)

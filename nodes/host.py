"""The only door to ComfyUI: everything the pack asks of its host goes through here."""

from __future__ import annotations

import copy
import importlib
import inspect
import itertools
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import comfy.conds
import comfy.k_diffusion.sampling
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import comfyui_version
import folder_paths
import latent_preview
import torch
from comfy_execution.utils import get_executing_context
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from ..core.mask import keep_outside, mask_kind, soft_mask_at
from ..core.noise import ItemKey, NoisedRecord, StepNoise, digest, stream_seed
from ..core.null_text import bytes_for_backward
from ..core.prompts import resolve_prompts
from ..core.report import VERSION
from ..core.schedule import CutSampling, NoiseSchedule, Spacing
from ..core.sheet import to_pillow
from ..core.tiles import Places, TileGrid, area_mask, blend_tiles, convert_tiles, plan_tiles, tile_weight, total_weight

RECORD_KEY = "img2img_record"
TILES_AT_ONCE = 4  # more of them together are hardly faster, and memory would grow with the picture
FINGERPRINT_WEIGHTS, FINGERPRINT_VALUES = 32, 16

# Positive and negative conditioning as the host makes it ready for a run: a dictionary for each prompt.
PreparedConds = dict[str, list[dict[str, Any]]]
THUMBNAIL_SIDE = 192  # pixels


# Names and schedules


def scheduler_names() -> list[str]:
    """The host's schedulers, in its own order."""
    return list(comfy.samplers.SCHEDULER_NAMES)


def sampler_names() -> list[str]:
    """The host's samplers, in its own order."""
    return list(comfy.samplers.KSampler.SAMPLERS)


def versions() -> dict[str, str]:
    """What a report needs to be run again: versions of the pack, ComfyUI and torch."""
    return {"img2img_studio": VERSION, "comfyui": comfyui_version.__version__, "torch": str(torch.__version__)}


def is_guidance_distilled(model: Any) -> bool:
    """Whether a MODEL has its guidance built in and wants cfg 1: Flux dev and its kin, and Flux schnell.

    Only the architecture is asked. Turbo, Lightning and LCM models have the same weights layout as their parents and
    cannot be told apart, and neither can a model that was trained to take cfg again.
    """
    config = getattr(model.model, "model_config", None)
    built_in = getattr(config, "unet_config", {}).get("guidance_embed", False)
    return bool(built_in) or isinstance(config, comfy.supported_models.FluxSchnell)


def noise_schedule(model: Any) -> NoiseSchedule:
    """The noise levels a MODEL was trained on.

    raises: ValueError for models that map picture to picture without noise
    """
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.IMG_TO_IMG):
        raise ValueError(
            "model: this model turns a picture into another one without noise, so it has no strength; "
            "use it with its own sampler nodes, or connect a diffusion or flow model"
        )
    sigmas = sampling.sigmas.detach().double().cpu()
    flow = isinstance(sampling, comfy.model_sampling.CONST)
    return NoiseSchedule(sigmas[sigmas > 0], flow, lambda percent: float(sampling.percent_to_sigma(percent)))


def spacing(model: Any, scheduler: str) -> Spacing:
    """A scheduler of the host as a function of (cut schedule or None for the model's own, steps)."""
    if scheduler not in comfy.samplers.SCHEDULER_NAMES:
        raise ValueError(f"scheduler: {scheduler!r} is unknown here; choose one of {', '.join(scheduler_names())}")
    sampling = model.get_model_object("model_sampling")

    def sigmas(cut: CutSampling | None, steps: int) -> Tensor:
        return comfy.samplers.calculate_sigmas(sampling if cut is None else cut, scheduler, steps).cpu()

    return sigmas


def resolve_sampler(sampler_name: str, sampler: Any = None) -> Any:
    """The connected SAMPLER, or else the host's sampler of that name."""
    if sampler is not None:
        return sampler
    if sampler_name not in sampler_names():
        raise ValueError(f"sampler_name: {sampler_name!r} is unknown here; choose one of {', '.join(sampler_names())}")
    return comfy.samplers.sampler_object(sampler_name)


def model_fingerprint(model: Any) -> str:
    """A short fingerprint of a MODEL: its class, a few values of its weights, and the patches on it.

    Weights that the host has patched in place are read from its backup, so that loading changes nothing.
    """
    state = dict(model.model.diffusion_model.named_parameters())
    names = sorted(state)
    picked = names[:: max(1, len(names) // FINGERPRINT_WEIGHTS)]
    parts = [type(model.model).__name__, type(model.get_model_object("model_sampling")).__mro__[1].__name__]
    for name in picked:
        kept = model.backup.get(f"diffusion_model.{name}")
        weight = state[name] if kept is None else kept.weight
        parts.append(f"{name}{digest(weight.detach().flatten()[:FINGERPRINT_VALUES].float())}")
    parts += [f"{key}{[(patch[0], patch[2]) for patch in patches]}" for key, patches in sorted(model.patches.items())]
    return digest(torch.tensor(list("|".join(parts).encode()), dtype=torch.uint8))


def prompt_of_item(conditioning: Any, item: int) -> Any:
    """The part of a CONDITIONING that belongs to one picture of a batch; what all share stays as it is."""

    def own(value: Any) -> Any:
        return value[item % len(value)][None] if isinstance(value, Tensor) and len(value) > 1 else value

    return [
        [own(embedding), {name: own(value) if name == "pooled_output" else value for name, value in options.items()}]
        for embedding, options in conditioning
    ]


def conditioning_digest(conditioning: Any) -> str:
    """A short fingerprint of a CONDITIONING: its embeddings and plain options."""
    parts = []
    for embedding, options in conditioning:
        parts.append("" if embedding is None else digest(embedding))
        for name, value in sorted(options.items()):
            parts.append(f"{name}={digest(value) if isinstance(value, Tensor) else _plain_option(value)}")
    return digest(torch.tensor(list("|".join(parts).encode()), dtype=torch.uint8))


def _plain_option(value: Any) -> str:
    """An option as text that is the same in every session; of objects, only their kind."""
    return repr(value) if isinstance(value, (str, int, float, bool, tuple)) or value is None else type(value).__name__


# Latents


@dataclass(frozen=True)
class OpenLatent:
    """A LATENT with everything checked.

    samples: [B, C, ...] float32, in ComfyUI's latent space
    mask:    the input mask, else the latent's own noise mask, else None; any resolution
    items:   the batch_index of each picture, or None where the latent has none
    record:  what SDEditNoise or an unfinished run left with it, valid or not; None where it met neither
    intact:  the record was written for exactly these samples
    """

    samples: Tensor
    mask: Tensor | None
    items: list[int] | None
    record: NoisedRecord | None
    intact: bool

    def keys(self, seed: int) -> list[ItemKey]:
        """(seed, item) for every picture."""
        items = self.items if self.items is not None else range(len(self.samples))
        return [(seed, item) for item in items]


def open_latent(model: Any, latent: dict[str, Any], mask: Tensor | None = None) -> OpenLatent:
    """Check a LATENT against a model and bring it to float32; the input is left as it is.

    raises: ValueError where the latent is empty, not finite, nested, or of another model's shape
    """
    samples = latent["samples"]
    if getattr(samples, "is_nested", False):
        raise ValueError(
            "latent: joint audio and video latents are not supported; split them and sample the picture part"
        )
    if samples.shape[0] == 0:
        raise ValueError("latent: it holds no pictures (batch 0); connect a latent with at least one")
    if not bool(torch.isfinite(samples).all()):
        raise ValueError("latent: it holds values that are not finite (inf or NaN); look at the node that made it")
    intact_record = latent.get(RECORD_KEY)
    intact = intact_record is not None and intact_record.digest == digest(samples)
    samples = _shaped_for(model, samples.float())
    items = latent.get("batch_index")
    if items is not None and len(items) != samples.shape[0]:
        raise ValueError(
            f"latent: batch_index names {len(items)} pictures, but there are {samples.shape[0]}; "
            f"rebuild the batch with ComfyUI's own batch nodes"
        )
    mask = latent.get("noise_mask") if mask is None else mask
    return OpenLatent(samples, mask, None if items is None else list(items), intact_record, intact)


def open_clean_latent(model: Any, latent: dict[str, Any], mask: Tensor | None = None) -> OpenLatent:
    """As ``open_latent``, for nodes that add the noise themselves: a latent that is already noised is refused."""
    opened = open_latent(model, latent, mask)
    if opened.record is not None:
        raise ValueError(
            f"latent: it is already noised (to sigma {opened.record.sigma:.4g}), and this node adds noise itself; "
            f"connect the clean latent, from VAE Encode or a finished sampler"
        )
    return opened


def close_latent(
    latent: dict[str, Any], samples: Tensor, record: NoisedRecord | None = None, **other: Any
) -> dict[str, Any]:
    """A new LATENT: the old one's other entries, the new samples, and the record where there is one."""
    out = {key: value for key, value in latent.items() if key != RECORD_KEY}
    out["samples"] = samples
    if record is not None:
        out[RECORD_KEY] = record
    return out | other


def _shaped_for(model: Any, samples: Tensor) -> Tensor:
    latent_format = model.get_model_object("latent_format")
    samples = comfy.sample.fix_empty_latent_channels(model, samples)
    dimensions = latent_format.latent_dimensions
    if samples.ndim != dimensions + 2:
        raise ValueError(
            f"latent: its shape {list(samples.shape)} has {samples.ndim} dimensions, but this model works on "
            f"{dimensions + 2}; encode the picture with the VAE that belongs to the model"
        )
    if samples.shape[1] != latent_format.latent_channels:
        raise ValueError(
            f"latent: it has {samples.shape[1]} channels, but this model works on {latent_format.latent_channels}; "
            f"encode the picture with the VAE that belongs to the model"
        )
    return samples


def to_model_space(model: Any, samples: Tensor) -> Tensor:
    """ComfyUI's latent space → the space the model works in (an empty latent stays empty, as in the host)."""
    return model.get_model_object("process_latent_in")(samples) if bool(samples.any()) else samples


def from_model_space(model: Any, state: Tensor) -> Tensor:
    """The space the model works in → ComfyUI's latent space."""
    return model.get_model_object("process_latent_out")(state)


def noised_samples(model: Any, clean: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """A clean latent lifted to a noise level, in the convention that stock samplers continue from.

    The state ``noise_scaling(sigma, noise, clean)`` leaves the model's space; flow states are divided by (1 - sigma),
    because stock samplers multiply by it again. At a flow sigma of 1, where that is impossible, they are left whole.
    """
    sampling = model.get_model_object("model_sampling")
    level = torch.tensor(sigma)
    state = sampling.noise_scaling(level, noise, to_model_space(model, clean), _at_top(sampling, sigma))
    return samples_of(model, state, sigma)


def samples_of(model: Any, state: Tensor, sigma: float) -> Tensor:
    """A state at a noise level as the samples of a LATENT, in the convention of ``noised_samples``."""
    sampling = model.get_model_object("model_sampling")
    if not isinstance(sampling, comfy.model_sampling.CONST) or sigma < 1.0:
        state = sampling.inverse_noise_scaling(torch.tensor(sigma), state)
    return from_model_space(model, state)


def noise_of(model: Any, state: Tensor, sigma: float) -> Tensor:
    """The noise that stock samplers, given an empty latent, scale to exactly this state (up to rounding)."""
    sampling = model.get_model_object("model_sampling")
    unit = sampling.noise_scaling(torch.tensor(sigma), torch.ones(1), torch.zeros(1), _at_top(sampling, sigma))
    return state / unit.to(state)


def input_scale(model: Any) -> Callable[[float], float]:
    """How strong a noised picture is at a sigma: what this model divides its input by."""
    sampling = model.get_model_object("model_sampling")
    return lambda sigma: (
        1.0 / float(sampling.calculate_input(torch.tensor([sigma], dtype=torch.float64), torch.ones(1)))
    )


def _at_top(sampling: Any, sigma: float) -> bool:
    """Whether stock samplers take a run from this sigma for one from pure noise (Sampler.max_denoise)."""
    largest = float(sampling.sigma_max)
    return math.isclose(largest, sigma, rel_tol=1e-05) or sigma > largest


def state_of(model: Any, samples: Tensor, sigma: float) -> Tensor:
    """The other way round: what ``noised_samples`` or an unfinished stock run wrote, as a state of the model."""
    state = to_model_space(model, samples)
    flow = isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST)
    return state * (1.0 - sigma) if flow and sigma < 1.0 else state


def draw_noise(samples: Tensor, seed: int, items: list[int] | None = None) -> Tensor:
    """The host's own initial noise: what a stock KSampler draws for this seed, batch and batch_index."""
    with isolated_rng(seed):
        noise: Any = comfy.sample.prepare_noise(samples, seed, items)
    return noise


class FixedNoise:
    """A NOISE that gives back noise already drawn, for stock sampler nodes."""

    def __init__(self, noise: Tensor, seed: int) -> None:
        self.noise = noise
        self.seed = seed

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """The recorded noise; raises ValueError where the latent has another shape."""
        samples = input_latent["samples"]
        if samples.shape != self.noise.shape:
            raise ValueError(
                f"noise: it was made for a latent of shape {list(self.noise.shape)}, "
                f"but is used with {list(samples.shape)}; connect the latent it was made for"
            )
        return self.noise.to(samples.dtype)


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Run with torch's global generators seeded, and put them back as they were afterwards."""
    kind = "xpu" if hasattr(torch, "xpu") and torch.xpu.is_available() else "cuda"
    backend = getattr(torch, kind)
    devices = list(range(backend.device_count())) if backend.is_available() and backend.is_initialized() else []
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield


def encode(vae: Any, image: Tensor, tile: int | None = None) -> dict[str, Any]:
    """Pictures [B, H, W, C] → LATENT, as VAE Encode does.

    tile: pixels of a tile, where it should be encoded in tiles; the sides must be whole multiples of the VAE's
    """
    image = image[..., :3]
    if tile is None:
        return {"samples": vae.encode(image)}
    unit = vae_multiple(vae)
    sides = image.shape[1] // unit, image.shape[2] // unit
    grid = _vae_grid(*sides, tile, unit)

    def encode_tile(pixels: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        return vae.encode(pixels.movedim(1, -1))

    return {"samples": convert_tiles(image.movedim(-1, 1), grid.scaled(unit), grid, sides, encode_tile)}


def decode(vae: Any, latent: dict[str, Any], tile: int | None = None) -> Tensor:
    """LATENT → pictures [B, H, W, 3], as VAE Decode does; the frames of a video latent become a batch.

    tile: pixels of a tile, where it should be decoded in tiles
    """
    samples = latent["samples"]
    if tile is None:
        image = vae.decode(samples)
    else:
        unit = int(vae.spacial_compression_decode())
        height, width = samples.shape[-2:]
        grid, sides = _vae_grid(height, width, tile, unit), (height * unit, width * unit)

        def decode_tile(part: Tensor) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            return vae.decode(part).movedim(-1, -3)

        image = convert_tiles(samples, grid, grid.scaled(unit), sides, decode_tile).movedim(-3, -1)
    return image.reshape(-1, *image.shape[-3:]) if image.ndim == 5 else image


def _vae_grid(height: int, width: int, tile: int, unit: int) -> TileGrid:
    """Tiles for a VAE, in cells of the latent: they reach far into each other, because a VAE errs near its borders.

    One pass of these shows no seams, where the three passes of ComfyUI's tiled nodes do (benchmarks/tiles.py).
    """
    return plan_tiles(height, width, max(1, tile // unit), min(128, tile // 2) // unit)


def upscale(upscale_model: Any, image: Tensor) -> Tensor:
    """Enlarge pictures as ComfyUI's own node for upscale models does, in tiles where memory is short."""
    node = importlib.import_module("comfy_extras.nodes_upscale_model").ImageUpscaleWithModel
    return node.execute(upscale_model, image).args[0]


def vae_multiple(vae: Any) -> int:
    """The sides of a picture must be whole multiples of this many pixels for a VAE."""
    return int(vae.spacial_compression_encode())


def encode_text(clip: Any, text: str) -> Any:
    """A prompt as CONDITIONING, as CLIP Text Encode does."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def pictures_in(folder: str, pattern: str) -> tuple[list[Path], list[str]]:
    """The pictures of a folder inside ComfyUI's input folder, by name, and the names of the files that are none.

    raises: ValueError where the folder lies elsewhere or does not exist
    """
    root = Path(folder_paths.get_input_directory()).resolve()
    place = (root / folder).resolve()
    if not place.is_relative_to(root) or not place.is_dir():
        raise ValueError(f"folder: {folder!r} is no folder inside ComfyUI's input folder {str(root)!r}; put it there")
    files = sorted(path for path in place.iterdir() if path.is_file() and fnmatch(path.name, pattern))
    readable = [_is_picture(path, *file_state(path)) for path in files]
    return (
        [path for path, good in zip(files, readable, strict=True) if good],
        [path.name for path, good in zip(files, readable, strict=True) if not good],
    )


def file_state(path: Path) -> tuple[str, int, int]:
    """What changes when a file changes: its path, time and size."""
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16384)
def _is_picture(path: Path, *state: Any) -> bool:
    """Whether Pillow knows the file by its header; remembered for as long as the file stays as it is."""
    try:
        with Image.open(path):
            return True
    except (OSError, ValueError, SyntaxError):
        return False


def load_picture(path: Path) -> tuple[Tensor, Tensor]:
    """IMAGE and MASK of a file in the input folder, as Load Image does; an incomplete file raises OSError."""
    with Image.open(path) as picture:
        picture.load()
    name = path.relative_to(Path(folder_paths.get_input_directory()).resolve()).as_posix()
    return importlib.import_module("nodes").LoadImage().load_image(name)


# Masks


@dataclass(frozen=True)
class RunMask:
    """A mask ready for sampling.

    kind:   ``all`` (no mask needed), ``none`` (nothing may change), ``hard`` or ``soft``
    latent: [B, 1, ..., H, W] at the latent's resolution; None for ``all`` and ``none``
    """

    kind: str
    latent: Tensor | None = None


def run_mask(mask: Tensor | None, shape: torch.Size) -> RunMask:
    """Decide what a mask means before resizing it, then resize it as the host does.

    Pictures of a batch whose own mask is all ones stay all ones: resizing would leave rounding there.

    raises: ValueError for values outside 0..1, and for a mask so small that nothing of it is left
    """
    kind = "all" if mask is None else mask_kind(mask)
    if mask is None or kind in ("all", "none"):
        return RunMask(kind)
    if not bool(torch.isfinite(mask).all()) or bool((mask < 0).any()) or bool((mask > 1).any()):
        raise ValueError("mask: its values must lie between 0 (keep) and 1 (change); look at the node that made it")
    resized = comfy.utils.reshape_mask(mask.float(), (shape[0], 1, *shape[2:]))
    lost = ~resized.any()
    if len(shape) == 4:
        planes = comfy.utils.repeat_to_batch_size(mask.reshape(-1, *mask.shape[-2:]), shape[0]).flatten(1)
        whole = (planes >= 1).all(-1).reshape(-1, 1, 1, 1)
        resized = torch.where(whole, torch.ones_like(resized), resized)
        lost = planes.any(-1) & ~resized.flatten(1).any(-1)
    if bool(lost.any()):
        raise ValueError(
            "mask: it is so small that nothing of it is left in the latent picture; grow it by a few pixels"
        )
    return RunMask(kind, resized)


def mask_for(mask: Tensor, image: Tensor) -> Tensor:
    """A MASK resized to the size of pictures [B, H, W, C], as the host does it: [1 or B, H, W]."""
    plane = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    if plane.shape[-2:] != image.shape[1:3]:
        plane = torch.nn.functional.interpolate(plane, size=tuple(image.shape[1:3]), mode="bilinear")
    return plane[:, 0]


def with_soft_mask(model: Any, sigmas: Tensor) -> Any:
    """A clone of the model under which a soft mask frees each pixel at its own time (differential diffusion)."""
    if "denoise_mask_function" in model.model_options:
        return model
    table = noise_schedule(model).sigmas.float().to(model.load_device)
    first = torch.searchsorted(table, sigmas[:1].to(table)).clamp_min(1)

    def at(sigma: Tensor, denoise_mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
        return soft_mask_at(denoise_mask, torch.searchsorted(table, sigma[:1]) / first)

    model = model.clone()
    model.set_model_denoise_mask_function(at)
    return model


# Sampling


class Progress:
    """One progress bar with previews over a job of several runs.

    total: steps of the whole job
    """

    def __init__(self, model: Any, total: int) -> None:
        self.bar = comfy.utils.ProgressBar(total)
        self.total = total
        self.done = 0
        self.previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)

    def __call__(self, step: int, denoised: Tensor, state: Tensor, steps: int) -> None:
        preview = self.previewer.decode_latent_to_preview_image("JPEG", denoised) if self.previewer else None
        self.bar.update_absolute(self.done + step + 1, self.total, preview)

    def advance(self, steps: int) -> None:
        """The run of so many steps is over; the next one counts on from there."""
        self.done += steps


class Thumbnails:
    """Small pictures of finished latents, for the body of a node.

    vae:      decodes them; without one they are ComfyUI's rough previews of latents
    progress: of the same job, for its previewer; where the user has switched previews off, the quickest one is taken
    """

    def __init__(self, model: Any, vae: Any, progress: Progress) -> None:
        self.model, self.vae, self.previewer = model, vae, progress.previewer
        form = model.model.latent_format
        if self.previewer is None and form.latent_rgb_factors is not None:
            self.previewer = latent_preview.Latent2RGBPreviewer(
                form.latent_rgb_factors, form.latent_rgb_factors_bias, form.latent_rgb_factors_reshape
            )

    def __call__(self, samples: Tensor) -> Image.Image | None:
        """One finished latent [1, C, ...] as a picture, a video by its first frame; None where there is no way."""
        samples = samples[:, :, :1] if samples.ndim == 5 else samples
        if self.vae is not None:
            picture = to_pillow(decode(self.vae, {"samples": samples})[0])
        elif self.previewer is not None:
            state = to_model_space(self.model, samples).to(self.model.load_device)
            picture = self.previewer.decode_latent_to_preview(state)
        else:
            return None
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        return picture


def tell_browser(event: str, **facts: Any) -> None:
    """Send an event about the running node to the browser that queued it; without a browser, nothing happens."""
    server_module = sys.modules.get("server")  # missing where ComfyUI's code runs without its server
    server: Any = getattr(getattr(server_module, "PromptServer", None), "instance", None)
    context = get_executing_context()
    if server is None or server.client_id is None or context is None:
        return
    message = {"node": context.node_id, "prompt_id": context.prompt_id, **facts}
    server.send_sync(event, message, server.client_id)


class StepCounter:
    """Counts the steps of a solver on a progress bar, with previews.

    total: steps of the job
    """

    def __init__(self, model: Any, total: int) -> None:
        self.progress = Progress(model, total)
        self.steps = 0

    def __call__(self, state: Tensor) -> None:
        self.progress(self.steps, state.float(), state, self.progress.total)
        self.steps += 1


class CountingGuider(comfy.samplers.CFGGuider):
    """The host's guider, which also counts its calls and can be interrupted at each of them."""

    def __init__(self, model: Any, positive: Any, negative: Any, cfg: float) -> None:
        super().__init__(model)
        self.set_conds(positive, negative)
        self.set_cfg(cfg)
        self.calls = 0
        self.embeddings: dict[float, Tensor] = {}
        """What the negative prompt says at some noise levels, in the place of its own embedding."""

    def predict_noise(self, *args: Any, **kwargs: Any) -> Tensor:
        """Called by the sampler; one guided answer, prompt and negative together, counts as one call."""
        self.calls += 1
        return self.denoise(*args, **kwargs)

    def denoise(self, *args: Any, **kwargs: Any) -> Tensor:
        """Ask the model."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        embedding = self.embeddings.get(float(args[1][0])) if self.embeddings else None
        if embedding is not None:
            set_negative_embedding(self, embedding)
        return super().predict_noise(*args, **kwargs)


class TiledGuider(CountingGuider):
    """Asks the model about tiles of the latent and blends its answers, at every call."""

    def __init__(self, model: Any, positive: Any, negative: Any, cfg: float, grid: TileGrid) -> None:
        super().__init__(model, positive, negative, cfg)
        self.grid = grid
        self.prepared: tuple[Tensor, Tensor, int, dict[Places, Any]] | None = None
        for name, conditioning in (("positive", positive), ("negative", negative)):
            _check_for_tiles(name, conditioning)
        self.model_options = _with_memory_for(grid, self.model_options)

    def denoise(self, x: Tensor, timestep: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Ask the model about group after group of tiles."""
        ask, whole = super().denoise, self.conds
        weight, total, at_once, conds = self.prepared = self.prepared or self._prepare(x)

        def denoise_group(tiles: Tensor, places: Places) -> Tensor:
            self.conds = conds[places]
            return ask(tiles, timestep.repeat(len(places)), *args, **kwargs)

        try:
            return blend_tiles(x, self.grid, denoise_group, at_once, weight, total)
        finally:
            self.conds = whole  # after the run the host cleans up what it finds there

    def _prepare(self, x: Tensor) -> tuple[Tensor, Tensor, int, dict[Places, Any]]:
        weight = tile_weight(self.grid, x)
        total = total_weight(self.grid, weight, *x.shape[-2:])
        tile = [*x.shape[1:-2], *self.grid.size]
        at_once = fitting_batch(self.model_patcher, tile, min(TILES_AT_ONCE, len(self.grid)), each=len(x))
        whole = _on_plane(self.conds, x)
        conds = {places: _cut_conds(whole, self.grid, places, x.shape) for places in self.grid.groups(at_once)}
        return weight, total, at_once, conds


def _with_memory_for(grid: TileGrid, model_options: dict[str, Any]) -> dict[str, Any]:
    """Model options under which the host makes room for a tile before a run, and not for the whole picture."""

    def prepare(executor: Any, model: Any, noise_shape: Sequence[int], *args: Any, **kwargs: Any) -> Any:
        return executor(model, [*noise_shape[:-2], *grid.size], *args, **kwargs)

    options = comfy.model_patcher.create_model_options_clone(model_options)
    kind = comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING
    comfy.patcher_extension.add_wrapper_with_key(kind, "img2img_tiles", prepare, options, is_model_options=True)
    return options


def _check_for_tiles(name: str, conditioning: Any) -> None:
    """Refuse what belongs to the whole picture and could not be cut along with a tile."""
    whole = {"gligen": "GLIGEN boxes, which lie on the whole picture",
             "reference_latents": "a reference picture, which the model would paint into every tile"}  # fmt: skip
    for _, options in conditioning:
        for key, reason in whole.items():
            if options.get(key) is not None:
                raise ValueError(
                    f"{name}: it carries {reason}; connect it without them, or make tile as large as the enlarged "
                    f"picture"
                )


def _on_plane(conds: PreparedConds, x: Tensor) -> PreparedConds:
    """Prepared conditioning with its areas as masks and its ControlNet hints at the size of the whole picture."""

    def enlarge(control: Any, hint: Tensor) -> Tensor:
        height, width = (side * _hint_scale(control) for side in x.shape[-2:])
        return comfy.utils.common_upscale(hint, width, height, control.upscale_algorithm, "center")

    # The host answers prompt and negative together only where they share one ControlNet object.
    fitted = cache(partial(_with_hint, change=enlarge))

    def on_plane(entry: dict[str, Any]) -> dict[str, Any]:
        entry = {**entry, "control": fitted(entry["control"])} if "control" in entry else entry
        if "area" not in entry:
            return entry
        box = area_mask(entry["area"], x.shape[2:], faded="mask" not in entry)[None].to(x.device)
        masked = entry["mask"] * box if "mask" in entry else box
        return {key: value for key, value in entry.items() if key != "area"} | {"mask": masked}

    return {kind: [on_plane(entry) for entry in entries] for kind, entries in conds.items()}


def _cut_conds(conds: PreparedConds, grid: TileGrid, places: Places, shape: torch.Size) -> PreparedConds:
    """Prepared conditioning for a batch of tiles: all that lies on the picture cut along, prompts without a share gone.

    shape: [B, C, ..., H, W] of the whole latent
    """
    batch = shape[0]

    def cut_hint(control: Any, hint: Tensor) -> Tensor:
        scale = _hint_scale(control)
        return grid.scaled(scale).stack(hint, tuple((top * scale, left * scale) for top, left in places), batch)

    def cut_value(value: Any) -> Any:
        tensor = value.cond
        if not isinstance(tensor, Tensor) or isinstance(value, comfy.conds.CONDConstant):
            return value
        out = copy.copy(value)
        if tensor.ndim >= 4 and tensor.shape[-2:] == shape[-2:]:
            out.cond = grid.stack(tensor, places, batch)
        elif len(tensor) > 1:  # one for each picture
            out.cond = comfy.utils.repeat_to_batch_size(tensor, batch).repeat(len(places), *[1] * (tensor.ndim - 1))
        return out

    fitted = cache(partial(_with_hint, change=cut_hint))

    def cut_entry(entry: dict[str, Any]) -> dict[str, Any]:
        out = entry | {"model_conds": {name: cut_value(value) for name, value in entry["model_conds"].items()}}
        if "mask" in entry:
            out["mask"] = grid.stack(entry["mask"], places, batch)
        if "control" in entry:
            out["control"] = fitted(entry["control"])
        return out

    cut = {kind: [cut_entry(entry) for entry in entries] for kind, entries in conds.items()}
    return {kind: [one for one in entries if "mask" not in one or bool(one["mask"].any())]
            for kind, entries in cut.items()}  # fmt: skip


def _with_hint(control: Any, change: Callable[[Any, Tensor], Tensor]) -> Any:
    """A copy of a ControlNet that is ready for a run, and of those chained to it, with changed hints."""
    out = copy.copy(control)
    out.cond_hint = out.extra_concat = out.control_input = None  # what it made of the old hint
    if control.cond_hint_original is not None:
        out.cond_hint_original = change(control, control.cond_hint_original)
        out.extra_concat_orig = [change(control, extra) for extra in control.extra_concat_orig]
    if control.previous_controlnet is not None:
        out.previous_controlnet = _with_hint(control.previous_controlnet, change)
    return out


def _hint_scale(control: Any) -> int:
    """Pixels of a ControlNet's hint for each cell of the latent."""
    vae = control.vae
    return control.compression_ratio * (1 if vae is None else vae.spacial_compression_encode())


def guider_for_run(
    model: Any, positive: Any, negative: Any, cfg: float, sigmas: Tensor, grid: TileGrid | None = None
) -> CountingGuider:
    """A guider whose scheduled prompts act by shares of this run; with a grid, one that works in tiles."""
    percent_to_sigma = model.get_model_object("model_sampling").percent_to_sigma
    positive = resolve_prompts(positive, sigmas, percent_to_sigma)
    negative = resolve_prompts(negative, sigmas, percent_to_sigma)
    if grid is not None:
        return TiledGuider(model, positive, negative, cfg, grid)
    return CountingGuider(model, positive, negative, cfg)


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    clean: [B, C, ...] the latent without noise, in ComfyUI's latent space; what a mask keeps
    noise: the same shape, unit variance
    state: a state in the model's space to start from as it is, instead of noising ``clean``
    """

    clean: Tensor
    noise: Tensor
    state: Tensor | None = None


@dataclass(frozen=True)
class Sampled:
    """What a run gave.

    samples: [B, C, ...] float32, in ComfyUI's latent space
    state:   the same in the model's space where the run stopped above sigma 0, else None
    calls:   how often the sampler asked the model (prompt and negative count as one)
    seconds: wall-clock time
    """

    samples: Tensor
    state: Tensor | None
    calls: int
    seconds: float


def sampler_label(sampler_name: str, sampler: Any = None) -> str:
    """The sampler's name for a report; of a connected SAMPLER, the name of its function."""
    if sampler is None:
        return sampler_name
    connected = getattr(sampler, "sampler_function", sampler)
    return f"connected: {getattr(connected, '__name__', type(connected).__name__)}"


def run_facts(run: Sampled, sigmas: Tensor, cfg: float, sampler_name: str, sampler: Any = None) -> dict[str, Any]:
    """What every report of a sampling run says."""
    return {
        "sampler": sampler_label(sampler_name, sampler),
        "cfg": cfg,
        "sigmas": sigmas,
        "model_calls": run.calls,
        "seconds": round(run.seconds, 3),
        "versions": versions(),
    }


def check_sigmas(sigmas: Tensor) -> None:
    """Raise ValueError unless the sigmas are finite, not negative and run downwards."""
    if sigmas.ndim != 1 or not bool(torch.isfinite(sigmas).all()) or bool((sigmas < 0).any()):
        raise ValueError(
            "sigmas: they must be one list of finite numbers, 0 or more; use StrengthScheduler to make them"
        )
    if len(sigmas) > 1 and float(sigmas[0]) <= float(sigmas[-1]):
        raise ValueError(
            f"sigmas: they rise from {float(sigmas[0]):.4g} to {float(sigmas[-1]):.4g}, but sampling goes downwards; "
            f"remove FlipSigmas, or use DDIMInvert to go up"
        )


def sample(
    model: Any,
    positive: Any,
    negative: Any,
    cfg: float,
    sampler: Any,
    sigmas: Tensor,
    start: Start,
    keys: list[ItemKey],
    mask: RunMask,
    progress: Progress,
    grid: TileGrid | None = None,
) -> Sampled:
    """One run of the host's own sampling, from noise level ``sigmas[0]`` to ``sigmas[-1]``.

    keys: (seed, item) of each picture, for the noise that stochastic samplers draw on the way
    grid: tiles to ask the model about, in place of the whole latent

    A mask of kind ``none`` or an empty run gives the clean latent back without a model call.
    """
    if mask.kind == "none" or len(sigmas) < 2:
        return Sampled(start.clean, None, 0, 0.0)
    began = time.perf_counter()
    if mask.kind == "soft":
        model = with_soft_mask(model, sigmas)
    guider = guider_for_run(model, positive, negative, cfg, sigmas, grid)
    sampler = with_item_noise(model, sampler, start.clean.shape, keys, float(sigmas[0]))
    ends_noisy = float(sigmas[-1]) > 0.0
    carried: list[Tensor] = []
    if ends_noisy or start.state is not None:
        sampler = _carrying_state(sampler, start.state, carried)
    seed = keys[0][0]
    with isolated_rng(seed):
        samples = guider.sample(
            start.noise,
            start.clean,
            sampler,
            sigmas.clone(),
            mask.latent,
            progress,
            not comfy.utils.PROGRESS_BAR_ENABLED,
            seed,
        )
    samples = samples.to(comfy.model_management.intermediate_device())
    progress.advance(len(sigmas) - 1)
    if mask.latent is not None and not ends_noisy:
        samples = keep_outside(mask.latent.to(samples.device), start.clean.to(samples.device), samples)
    state = carried[0].to(samples) if ends_noisy else None
    return Sampled(samples, state, guider.calls, time.perf_counter() - began)


def batch_size(model: Any, sampler: Any, opened: OpenLatent, count: int, limit: int = 0) -> int:
    """How many pictures to sample at once.

    limit: at most so many; 0 asks the host how much memory is free

    A sampler that draws its noise under the mask for the whole batch (ddim) gets one picture at a time, so that each
    is the same alone.
    """
    if opened.mask is not None and getattr(sampler, "inpaint_options", {}).get("random"):
        return 1
    return limit or fitting_batch(model, list(opened.samples.shape[1:]), count)


def fitting_batch(model: Any, shape: Sequence[int], count: int, each: int = 1) -> int:
    """How many of ``count`` latents of a shape [C, ...] fit into free memory together; each stands for so many."""
    unloaded = max(0, model.model_size() - model.loaded_size())
    free: Any = comfy.model_management.get_free_memory(model.load_device)
    # Prompt and negative run as one batch of twice the size; the margin is the host's own.
    needed = ((n, model.model.memory_required([2 * n * each, *shape]) * 1.5) for n in range(count, 1, -1))
    fitting = (n for n, memory in needed if memory < free - unloaded)
    return next(fitting, 1)


def draws_noise(sampler: Any) -> bool:
    """Whether a SAMPLER draws new noise at its steps, as ancestral and SDE samplers do."""
    function = getattr(sampler, "sampler_function", None)
    return function is not None and "noise_sampler" in inspect.signature(function).parameters


def with_item_noise(model: Any, sampler: Any, shape: Sequence[int], keys: list[ItemKey], first_sigma: float) -> Any:
    """A copy of a stochastic SAMPLER whose noise at each step belongs to the item; others pass through.

    Samplers that draw from a Brownian motion in the host get one for each item, over the model's whole range of
    sigmas, so that parts of a split run draw from the same one.
    """
    if not draws_noise(sampler) or "noise_sampler" in sampler.extra_options:
        return sampler
    function, device = sampler.sampler_function, model.load_device
    if "dpmpp" in function.__name__ and "_sde" in function.__name__:
        item_noise = comfy.k_diffusion.sampling.BrownianTreeNoiseSampler(
            torch.empty(shape),
            torch.tensor(0.0),
            # a little above, because the tree warns of rounding at its end
            torch.tensor(max(noise_schedule(model).sigma_max, first_sigma) * 1.0001),
            seed=[stream_seed(seed, item, "brownian") for seed, item in keys],
            cpu=True,
        )
    else:
        item_noise = StepNoise(shape, keys, device)
    sampler = copy.copy(sampler)
    sampler.extra_options = {**sampler.extra_options, "noise_sampler": item_noise}
    return sampler


def _carrying_state(sampler: Any, state: Tensor | None, carried: list[Tensor]) -> Any:
    """A copy of a SAMPLER that starts from ``state`` where there is one, and leaves its last state in ``carried``."""
    if not isinstance(sampler, comfy.samplers.KSAMPLER):
        raise ValueError(
            "sampler: this SAMPLER cannot start or stop part-way with the pack's nodes; choose one by sampler_name, "
            "or connect sigmas that end in 0 to a latent from SDEditNoise"
        )
    function: Callable[..., Tensor] = sampler.sampler_function

    def from_state(denoise: Any, x: Tensor, sigmas: Tensor, **options: Any) -> Tensor:
        out = function(denoise, x if state is None else state.to(x), sigmas, **options)
        carried.append(out)
        return out

    sampler = copy.copy(sampler)
    sampler.sampler_function = from_state
    return sampler


# Solvers of the pack's own


class Solver(comfy.samplers.Sampler):
    """Work of the pack's own in the place of a sampler inside the host's sampling; ``result`` holds what came out."""

    result: Any = None

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """Called by the host once the model is loaded; gives the latent back untouched."""
        self.result = self.solve(model_wrap, sigmas, extra_args, latent_image)
        return latent_image

    def solve(self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], clean: Tensor) -> Any:
        """The work, on a guided model and the clean picture in the model's space."""
        raise NotImplementedError


class SolverSampler(Solver):
    """Runs a function of core over ``denoise(x, sigma)``.

    function: (denoise, clean picture in the model's space) -> anything
    double:   states in float64, on the CPU where the device lacks it
    """

    def __init__(self, function: Callable[[Callable[[Tensor, float], Tensor], Tensor], Any], double: bool) -> None:
        self.function = function
        self.double = double

    def solve(self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], clean: Tensor) -> Any:
        """Once the model is loaded."""
        device = clean.device
        moved = self.double and device.type in ("mps", "privateuseone", "xpu")
        x = clean.to("cpu" if moved else device, torch.float64 if self.double else torch.float32)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            at = x.to(device, torch.float32) if moved else x.to(device)
            return guider(at, at.new_full((len(at),), sigma, dtype=torch.float32), **extra_args).to(x)

        return self.function(denoise, x)


def solve(
    model: Any,
    positive: Any,
    negative: Any,
    cfg: float,
    sigmas: Tensor,
    clean: Tensor,
    function: Callable[[Callable[[Tensor, float], Tensor], Tensor], Any],
    double: bool = False,
    embeddings: Sequence[Tensor] = (),
) -> tuple[Any, int]:
    """Run a function of core on a guided model; returns its result and how often it asked the model.

    embeddings: for each sigma above 0, what the negative prompt says there; none where it speaks for itself
    """
    guider = guider_for_run(model, positive, negative, cfg, sigmas)
    guider.embeddings = dict(zip(sigmas.tolist(), embeddings, strict=False))
    return _solved(guider, SolverSampler(function, double), sigmas, clean), guider.calls


def _solved(guider: CountingGuider, solver: Solver, sigmas: Tensor, clean: Tensor) -> Any:
    with isolated_rng(0):
        guider.sample(torch.zeros_like(clean), clean, solver, sigmas.clone(), disable_pbar=True, seed=0)
    return solver.result


def stored(value: Any) -> Any:
    """Tensors, also inside tuples, moved to where ComfyUI keeps results."""
    if isinstance(value, Tensor):
        return value.to(comfy.model_management.intermediate_device())
    return tuple(stored(item) for item in value) if isinstance(value, tuple) else value


# Gradients


class GuidedParts:
    """A guided model taken apart: core's GuidedModel.

    calls:  how often it was asked, whole or in parts
    memory: bytes that gradients need: the copies of the weights, and what is held for a backward pass
    """

    PARTS = ("conditional", "unconditional", "guided")

    def __init__(self, guider: CountingGuider, extra_args: dict[str, Any]) -> None:
        self.guider = guider
        self.extra_args = extra_args
        self.calls: dict[str, int] = dict.fromkeys(self.PARTS, 0)
        self.memory = {"weights": 0, "gradients": 0}

    def conditional(self, x: Tensor, sigma: float) -> Tensor:
        """What the positive prompt says."""
        with torch.no_grad():
            return self._ask("conditional", x, sigma)

    def unconditional(self, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
        """What an embedding in the place of the negative prompt's says; differentiable in it."""
        set_negative_embedding(self.guider, embedding)
        return self._ask("unconditional", x, sigma)

    def combine(self, x: Tensor, sigma: float, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Both under guidance, with what other nodes have added to that."""
        guider, options = self.guider, self.extra_args["model_options"]
        conds = {"cond": guider.conds["positive"], "uncond": guider.conds["negative"]}
        return comfy.samplers.cfg_function(
            guider.inner_model,
            conditional,
            unconditional,
            guider.cfg,
            x,
            x.new_full((len(x),), sigma),
            options,
            **conds,
        )

    def denoise(self, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
        """All of it in one call, as at every other run."""
        set_negative_embedding(self.guider, embedding)
        self.calls["guided"] += 1
        with torch.no_grad():
            return self.guider(x, x.new_full((len(x),), sigma), **self.extra_args)

    def _ask(self, part: str, x: Tensor, sigma: float) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.calls[part] += 1
        conds = self.guider.conds
        halves = [conds["positive"], None] if part == "conditional" else [None, conds["negative"]]
        answers = comfy.samplers.calc_cond_batch(
            self.guider.inner_model, halves, x, x.new_full((len(x),), sigma), self.extra_args["model_options"]
        )
        return answers[part == "unconditional"]


class GradientSampler(Solver):
    """Runs a function of core on a model in parts, with gradients to the embedding of the negative prompt.

    function: (parts, the embedding to start from, clean picture in the model's space) -> anything
    """

    def __init__(self, function: Callable[[GuidedParts, Tensor, Tensor], Any]) -> None:
        self.function = function

    def solve(self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], clean: Tensor) -> Any:
        """Once the model is loaded."""
        with torch.inference_mode(False):
            parts = GuidedParts(guider, extra_args)
            network, clean = guider.inner_model.diffusion_model, clean.float().clone()
            embedding = _negative_embedding(guider).to(clean).clone()
            with _differentiable(network, lambda size: _claim(parts, "weights", size, clean)):
                level = float(sigmas[0])
                tried = embedding.clone().requires_grad_()
                weights = itertools.chain(network.parameters(), network.buffers())
                size = bytes_for_backward(lambda: parts.unconditional(clean, level, tried), weights)
                _claim(parts, "gradients", size, clean)
                return parts, self.function(parts, embedding, clean)


def solve_with_gradients(
    model: Any,
    positive: Any,
    negative: Any,
    cfg: float,
    sigmas: Tensor,
    clean: Tensor,
    function: Callable[[GuidedParts, Tensor, Tensor], Any],
) -> tuple[GuidedParts, Any]:
    """Run a function of core on a guided model in parts; returns these and its result.

    raises: ValueError where the model or the prompts do not allow gradients, or memory is short
    """
    guider = guider_for_run(model, positive, negative, cfg, sigmas)
    try:
        return _solved(guider, GradientSampler(function), sigmas, clean)
    except RuntimeError as error:
        if "inplace operation" not in str(error):
            raise
        raise ValueError(
            f"model: ComfyUI runs {type(model.model).__name__} in a way that overwrites what gradients need; use the "
            f"method exact or pinned of DDIM Invert, which give the picture back at any cfg without gradients"
        ) from error
    finally:
        comfy.model_management.soft_empty_cache()


def set_negative_embedding(guider: CountingGuider, embedding: Tensor) -> None:
    """Put an embedding [B, tokens, width] in the place of the one that the negative prompt of a run says."""
    said = guider.conds["negative"][0]["model_conds"]
    said["c_crossattn"] = type(said["c_crossattn"])(embedding)


def _negative_embedding(guider: CountingGuider) -> Tensor:
    """The embedding that the negative prompt of a run says.

    raises: ValueError where that is not the one thing that it says
    """
    placed = {"control": "a ControlNet", "gligen": "GLIGEN boxes", "hooks": "a LoRA hook", "area": "an area",
              "mask": "a mask", "timestep_start": "a time range", "timestep_end": "a time range"}  # fmt: skip
    negatives = guider.conds["negative"]
    found = next((word for key, word in placed.items() for one in negatives if one.get(key) is not None), None)
    if found or len(negatives) != 1 or any(one.get("hooks") for one in guider.conds["positive"]):
        raise ValueError(
            f"positive and negative: with {found or 'several prompts in one'}, there is no single embedding to "
            f"optimise; connect plain prompts, or use the method exact or pinned of DDIM Invert"
        )
    said = negatives[0]["model_conds"].get("c_crossattn")
    if said is None:
        raise ValueError("model: it takes no prompt by cross-attention, so there is nothing to optimise")
    return said.cond


def _claim(parts: GuidedParts, purpose: str, size: int, clean: Tensor) -> None:
    """Note and log how many bytes are needed for a purpose; ValueError where fewer are free."""
    parts.memory[purpose] = size
    needed = size + int(parts.guider.inner_model.memory_required([2, *clean.shape[1:]]))
    free: Any = comfy.model_management.get_free_memory(clean.device)
    text = f"{needed / 1e9:.2f} GB for {purpose}, {free / 1e9:.2f} GB are free"
    logging.info("Null-text optimisation needs %s", text)
    if needed > free:
        raise ValueError(
            f"latent: null-text optimisation needs {text} on {clean.device}; use a smaller picture, or the method "
            f"exact or pinned of DDIM Invert, which give the picture back at any cfg without gradients"
        )


@contextmanager
def _differentiable(network: torch.nn.Module, claim: Callable[[int], None]) -> Iterator[None]:
    """Stand others in for weights that want gradients or were made in inference mode, and take them out again.

    Autograd refuses the latter, so these are copied; ``claim`` is told the bytes of the copies before they are made.
    """
    tables: list[dict[str, Any]] = [
        table for module in network.modules() for table in (module._parameters, module._buffers)
    ]
    own = [(table, name, weight) for table in tables for name, weight in table.items() if weight is not None]
    stand_ins: dict[int, Tensor] = {id(weight): weight for *_, weight in own}
    claim(sum(weight.nbytes for weight in stand_ins.values() if weight.is_inference()))
    try:
        for table, name, weight in own:
            if stand_ins[id(weight)] is weight:
                stand_in = weight.clone() if weight.is_inference() else weight.detach()
                stand_ins[id(weight)] = torch.nn.Parameter(stand_in, requires_grad=False)
            table[name] = stand_ins[id(weight)]
        yield
    finally:
        for table, name, weight in own:
            table[name] = weight
        stand_ins.clear()


# The demo checkpoint

DEMO_MARK = "img2img_demo"
"""A tensor that CheckpointSave writes along with the toy: the letters of the JSON that says its shapes."""


class DemoModelConfig(comfy.supported_models_base.BASE):
    """What ComfyUI wants to know of a model: SD1.5's latents and noise levels around a UNet of any shape."""

    latent_format = comfy.latent_formats.SD15
    unet_extra_config = {}
    memory_usage_factor = 1.0
    mark = b""

    def process_unet_state_dict_for_saving(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Called by CheckpointSave; ComfyUI could not tell from the weights alone what they are."""
        mark = torch.tensor(list(self.mark), dtype=torch.uint8)
        return super().process_unet_state_dict_for_saving(state_dict) | {DEMO_MARK: mark}


def load_demo_checkpoint(folder: Path, family: str) -> tuple[Any, Any, Any]:
    """Build MODEL, CLIP and VAE from ``<family>.safetensors``, ``text.safetensors`` and ``vae.safetensors``.

    ComfyUI's checkpoint detection knows published models only, so the classes are picked here. The shapes stand in
    the files' metadata.
    """
    loaded: Any = [
        comfy.utils.load_torch_file(str(folder / f"{name}.safetensors"), return_metadata=True)
        for name in (family, "text", "vae")
    ]
    (unet, unet_facts), (text, text_facts), (vae, _) = loaded
    shapes = {"family": family, "unet": json.loads(unet_facts["config"]), "text": json.loads(text_facts["config"])}
    clip = _demo_clip(shapes)
    _fill_text_encoder(clip, text)
    return _demo_model(unet, shapes), clip, comfy.sd.VAE(sd=vae)


def saved_demo_checkpoints() -> list[str]:
    """The toys that CheckpointSave has written into its own folder, as names for ``load_saved_demo_checkpoint``."""
    folder = _saved_checkpoints()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.glob("*.safetensors") if _is_demo(path))


def load_saved_demo_checkpoint(name: str) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE from what CheckpointSave made of the toy."""
    if name not in saved_demo_checkpoints():
        raise ValueError(f"family: there is no toy called {name!r} in {_saved_checkpoints()}; choose eps or flow")
    weights: Any = comfy.utils.load_torch_file(str(_saved_checkpoints() / name))
    shapes = json.loads(bytes(weights.pop(DEMO_MARK).tolist()))
    unet, text, vae = (
        comfy.utils.state_dict_prefix_replace(weights, {prefix: ""}, filter_keys=True)
        for prefix in ("model.diffusion_model.", "cond_stage_model.", "first_stage_model.")
    )
    clip = _demo_clip(shapes)
    clip.load_sd(text, full_model=True)
    return _demo_model(unet, shapes), clip, comfy.sd.VAE(sd=vae)


def _saved_checkpoints() -> Path:
    return Path(folder_paths.get_output_directory()) / "checkpoints"


def _is_demo(path: Path) -> bool:
    with safe_open(path, "pt") as file:
        return DEMO_MARK in file.keys()  # noqa: SIM118  (it is no dict)


def _demo_model(weights: dict[str, Tensor], shapes: dict[str, Any]) -> Any:
    """A UNet with the noise levels of its family, 'eps' or 'flow', as ComfyUI's MODEL."""
    config = DemoModelConfig(shapes["unet"])
    config.mark = json.dumps(shapes).encode()
    management = comfy.model_management
    device, parameters = management.get_torch_device(), comfy.utils.calculate_parameters(weights)
    dtype = management.unet_dtype(model_params=parameters, supported_dtypes=config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device, config.supported_inference_dtypes))
    offload = management.unet_offload_device()
    model = comfy.model_base.BaseModel(config, comfy.model_base.ModelType[shapes["family"].upper()], device=offload)
    return comfy.model_patcher.ModelPatcher(model.load_model_weights(weights), device, offload)


def _demo_clip(shapes: dict[str, Any]) -> Any:
    """ComfyUI's CLIP in the shape of the small text encoder, still without weights."""
    target = comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    return comfy.sd.CLIP(target, model_options={"clip_l_model_config": shapes["text"]})


def _fill_text_encoder(clip: Any, weights: dict[str, Tensor]) -> None:
    """Load the trimmed weights; words the world does not know all share one embedding."""
    embedding = clip.cond_stage_model.clip_l.transformer.get_input_embeddings().weight
    table = weights.pop("unknown_row").expand(embedding.shape).clone()
    table[weights.pop("token_ids").long()] = weights.pop("token_rows")
    clip.load_sd({**weights, "text_model.embeddings.token_embedding.weight": table})

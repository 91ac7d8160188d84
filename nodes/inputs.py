"""What the schemas of several nodes share: one wording, one default, one range for each input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from comfy_api.latest import io

from .. import host
from ..core.noise import SEED_LIMIT
from ..core.schedule import MEASURES, STEP_COUNTS
from ..core.seam import BLENDS, Blend

FitInfo = io.Custom("IMG2IMG_FIT")
InversionInfo = io.Custom("IMG2IMG_INVERSION")
Passes = io.Custom("IMG2IMG_PASSES")

INVERSION_PANEL = "img2img_inversion"
"""Under this key goes what the body of an inversion node shows."""


@dataclass(eq=False, repr=False)
class Schema(io.Schema):
    """A schema with what ComfyUI has learned to pass on to its frontend since 0.3.75; before, it does nothing.

    search_aliases: words under which the search finds the node (0.11)
    folded:         names of inputs that few people need, folded away as "advanced" (0.10), as `measure` and
                    `step_count` are in every node; they stand last, of the required and of the optional ones
    """

    search_aliases: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rare = [entry for entry in self.inputs if entry.id in (*self.folded, "measure", "step_count")]
        for entry in rare:
            entry.extra_dict = {**entry.extra_dict, "advanced": True}
        self.inputs = [entry for entry in self.inputs if entry not in rare] + rare


def model() -> io.Model.Input:
    """The diffusion or flow model."""
    return io.Model.Input("model", tooltip="The model that paints: any diffusion or flow model.")


def vae() -> io.Vae.Input:
    """The VAE."""
    return io.Vae.Input("vae", tooltip="The VAE of the model.")


def positive() -> io.Conditioning.Input:
    """The prompt."""
    return io.Conditioning.Input("positive", tooltip="What the picture should show, from CLIP Text Encode.")


def negative(optional: bool = False) -> io.Conditioning.Input:
    """The negative prompt."""
    return io.Conditioning.Input(
        "negative", optional=optional, tooltip="What the picture should not show. Without effect where cfg is 1."
    )


def latent(tooltip: str = "The picture to start from, from VAE Encode.") -> io.Latent.Input:
    """The latent picture."""
    return io.Latent.Input("latent", tooltip=tooltip)


def mask() -> io.Mask.Input:
    """Where the picture may change."""
    return io.Mask.Input(
        "mask",
        optional=True,
        tooltip="White (1) where the picture may change, black (0) where it must stay. Gray is a strength per pixel. "
        "It takes the place of the latent's own noise mask.",
    )


def steps(default: int = 20) -> io.Int.Input:
    """Sampling steps."""
    return io.Int.Input(
        "steps", default=default, min=1, max=10000, tooltip="Sampling steps. More steps, finer result, more time."
    )


def strength(
    default: float,
    tooltip: str = "How far the picture may move from the original: 0 leaves it as it is, 1 is text to image. "
    "At 0.8 and above (0.6 on Flux, 0.4 on Wan), expect a new layout.",
) -> io.Float.Input:
    """How much may change."""
    return io.Float.Input("strength", default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


def cfg(default: float = 7.5) -> io.Float.Input:
    """Guidance scale."""
    return io.Float.Input(
        "cfg",
        default=default,
        min=0.0,
        max=100.0,
        step=0.1,
        round=0.01,
        tooltip="How strictly the prompt is followed. 1 turns guidance and the negative prompt off, for half the time.",
    )


def sampler_name() -> io.Combo.Input:
    """The sampler, by name."""
    return io.Combo.Input("sampler_name", options=host.sampler_names(), tooltip="The sampler: how each step is taken.")


def scheduler() -> io.Combo.Input:
    """The scheduler, by name."""
    return io.Combo.Input(
        "scheduler",
        options=host.scheduler_names(),
        tooltip="How the steps are spread over the way down. It never moves the starting point.",
    )


def seed(tooltip: str = "The seed of the noise. The same seed gives the same picture.") -> io.Int.Input:
    """The seed of the noise."""
    return io.Int.Input("seed", default=0, min=0, max=SEED_LIMIT - 1, control_after_generate=True, tooltip=tooltip)


def sampler() -> io.Sampler.Input:
    """A connected sampler."""
    return io.Sampler.Input(
        "sampler", optional=True, tooltip="A SAMPLER with options of its own. Connected, it overrides sampler_name."
    )


def measure() -> io.Combo.Input:
    """What strength measures."""
    return io.Combo.Input(
        "measure",
        options=list(MEASURES),
        optional=True,
        tooltip="timestep: strength x 1000 training steps (SDEdit). noise: strength is the share of noise, equally "
        "noisy on every model. steps: what ComfyUI's denoise does, for old workflows.",
    )


def step_count() -> io.Combo.Input:
    """What steps counts."""
    return io.Combo.Input(
        "step_count",
        options=list(STEP_COUNTS),
        optional=True,
        tooltip="exact: run all the steps you asked for. proportional: run steps x strength, as other programs do.",
    )


def blend(default: Blend) -> io.Combo.Input:
    """How an edit meets the picture around it."""
    return io.Combo.Input(
        "blend",
        options=list(BLENDS),
        default=default,
        optional=True,
        tooltip="hard: a hard edge at the mask. feather: faded out over the feather's pixels outside the mask. "
        "seamless: colors inside the mask are brought to meet those outside, without an edge, and nothing outside "
        "changes.",
    )


def target(tooltip: str = "") -> io.Int.Input:
    """The size at which a part is painted."""
    return io.Int.Input(
        "target",
        default=512,
        min=0,
        max=8192,
        optional=bool(tooltip),
        tooltip="Length of the part's longer side in pixels when it is painted. 512 suits SD1.5, 1024 suits SDXL, SD3 "
        "and Flux. 0 keeps the picture's own scale." + tooltip,
    )


def context(tooltip: str = "") -> io.Float.Input:
    """How much of its surroundings a part has."""
    return io.Float.Input(
        "context",
        default=0.5,
        min=0.0,
        max=4.0,
        step=0.05,
        optional=bool(tooltip),
        tooltip="How much of its surroundings the model sees on each side, as a share of the white part's longer side. "
        "More context fits better, less gives finer detail." + tooltip,
    )


def think() -> io.Int.Input:
    """Inner rounds at a mask."""
    return io.Int.Input(
        "think",
        default=0,
        min=0,
        max=10,
        optional=True,
        tooltip="With a mask: how often each step is thought over, so that a model without inpaint training fits what "
        "it paints to the picture around it. 1 doubles the time, 2 triples it. 0: off.",
    )


SPLITS = "0.875 is Wan 2.2's for text to video, 0.9 its for image to video, 0.3 suits SDXL's refiner."


def split_at(tooltip: str) -> io.Float.Input:
    """Where a run is split in two."""
    return io.Float.Input(
        "split_at",
        default=0.875,
        min=0.0,
        max=1.0,
        step=0.005,
        round=0.001,
        optional=True,
        tooltip=f"{tooltip} {SPLITS}",
    )


def low_model() -> list[io.Model.Input | io.Float.Input]:
    """A second model for the end of a run, and where it takes over."""
    model = io.Model.Input(
        "low_model",
        optional=True,
        tooltip="For a model in two halves, such as Wan 2.2 14B: the low-noise half. The high-noise half goes into "
        "model. It sees the same prompts.",
    )
    at = "The share of noise below which low_model takes over; without low_model, nothing happens."
    return [model, split_at(at)]


def readable(name: str, parse: Callable[[str], object], text: str | None) -> bool | str:
    """For ``validate_inputs``: True where a text can be parsed or comes through a link (None), else what is wrong.

    ComfyUI says the name of the input before it.
    """
    try:
        parse(text or "")
    except ValueError as error:
        return str(error).removeprefix(f"{name}: ")
    return True


def report() -> io.String.Output:
    """The JSON report."""
    return io.String.Output(
        display_name="report", tooltip="What was really done, as JSON text: show it with Preview Any."
    )

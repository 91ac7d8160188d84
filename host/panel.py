"""What the bodies of nodes show after a run: their report in words, and small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy.model_patcher import ModelPatcher
from comfy.sd import VAE
from comfy_api.latest import ui
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ..core.before_after import Pictures, before_and_after
from ..core.noise import NoisedRecord
from ..core.report import plain
from ..core.words import in_words
from .files import small_jpeg
from .latent import seen_samples, state_of
from .progress import Thumbnails

Panel = dict[str, list[Any]]
"""The ``ui`` of a node's output."""


def panel(key: str, report: str, **shown: Any) -> Panel:
    """What the panel that listens to ``key`` gets: the report, a JSON text, in words, and whatever else it shows."""
    return {key: [plain({"words": in_words(report), **shown})]}


def words_panel(report: str) -> Panel:
    """The report in words alone."""
    return panel("img2img_words", report)


def mask_panel(mask: Tensor, report: str) -> Panel:
    """A mask as a picture, which ComfyUI makes of float32 alone, and the report in words."""
    return ui.PreviewMask(mask.float()).as_dict() | words_panel(report)


def lines_panel(*lines: str) -> Panel:
    """Lines of words, of a node without a report."""
    return {"img2img_words": [{"words": list(lines)}]}


def with_lines(shown: Panel | None, lines: Sequence[str]) -> Panel:
    """What a node shows, with further lines below its words; of a node that shows nothing else, the lines alone."""
    if shown is None:
        return lines_panel(*lines)
    return {key: [_with_words(one, lines) for one in sent] for key, sent in shown.items()}


def _with_words(sent: Any, lines: Sequence[str]) -> Any:
    return {**sent, "words": [*sent["words"], *lines]} if isinstance(sent, dict) and "words" in sent else sent


def silence(outputs: int) -> tuple[ExecutionBlocker, ...]:
    """Outputs behind which nothing runs, and nobody is told: the run ends well."""
    return tuple(ExecutionBlocker(None) for _ in range(outputs))


def before_after_panel(
    report: str, before: Pictures, after: Pictures, names: Sequence[str] = (), first: int = 0
) -> Panel:
    """The report in words, and pictures with a slider between before and after.

    before, after, names: as ``core.before_after`` takes them
    first: the place of what is shown until another one is chosen
    """
    pairs = [
        {
            "name": pair.name,
            "before": small_jpeg(pair.before),
            "after": small_jpeg(pair.after),
            "difference": small_jpeg(pair.difference),
            "largest": pair.largest,
        }
        for pair in before_and_after(before, after, names)
    ]
    return panel("img2img_before_after", report, pairs=pairs, first=first)


def noised_pictures(
    model: ModelPatcher, samples: Tensor, record: NoisedRecord, vae: VAE | None
) -> tuple[list[Tensor], list[Tensor]]:
    """The first picture of a noised latent before and after noising, [H, W, 3] each, in lists.

    The noised one is shown as strong as the model itself sees it (``seen_samples``).

    samples: [B, C, ...] noised, with the record of it
    vae:     decodes them; without one they are ComfyUI's rough previews, and where it has none, the lists are empty
    """
    seen, state = Thumbnails(model, vae), state_of(model, samples[:1], record.sigma)
    pictures = [seen(record.clean[:1]), seen(seen_samples(model, state, record.sigma))]
    before, after = ([] if one is None else [one] for one in pictures)
    return before, after

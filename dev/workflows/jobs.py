"""Jobs people come with: enhance a photo, day to night, sketch to art."""

from __future__ import annotations

from ..graph import Graph
from . import parts


def enhance(graph: Graph) -> None:
    """Grain, texture and sharpness repainted at a low strength; what the photo shows stays."""
    _job(
        graph,
        "enhance",
        "professional photo, sharp focus, fine detail, natural light",
        "blurry, noise, jpeg artifacts, oversharpened",
        use_case="enhancement",
        advice="Add what the photo shows. Faces drift first: lower *amount*, or mask them.",
    )


def day_to_night(graph: Graph) -> None:
    """The same place at another time of day: the scene changes, the composition stays."""
    _job(
        graph,
        "day_to_night",
        "a green hill with a girl in a pink dress at night, dark blue sky, stars, moonlight",
        "daylight, sun, bright sky",
        use_case="scene change",
        advice="Name the place again, then its new light. From far to near works well: background, middle ground, "
        "foreground.",
    )


def sketch_to_art(graph: Graph) -> None:
    """A rough drawing becomes a finished painting: high strength, strong guidance."""
    _job(
        graph,
        "sketch_to_art",
        "a girl with blonde hair in a pink dress on a green hill, oil painting, masterpiece, rich colors",
        "sketch, scribble, crayon, flat, unfinished",
        use_case="sketch to art",
        advice="The sketch gives places and colors, the prompt everything else. Too free? Lower *amount*, or hold the "
        "lines with the ControlNet template.",
    )


def _job(graph: Graph, prefix: str, positive: str, negative: str, use_case: str, advice: str) -> None:
    """One use case: its recommended settings, on a picture of any size."""
    source = parts.picture(graph)
    checkpoint = parts.checkpoint(graph)
    said = parts.prompts(graph, checkpoint["CLIP"], positive, negative)
    graph.note(advice)
    graph.column("How far", 320)
    preset = graph.add("Img2ImgStrengthPreset", use_case=use_case, model=checkpoint["MODEL"])
    chosen = {name: preset[name] for name in ("strength", "cfg", "steps")}
    painted = parts.all_in_one(graph, checkpoint, source.image, said, **chosen)
    saved = parts.result(graph, painted["image"], source, prefix)
    graph.as_app([*source.shown, (said.text, "text"), (preset, "amount"), (painted, "seed")], [saved])

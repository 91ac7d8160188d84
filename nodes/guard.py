"""A guard at the door of every node: what comes in by a link is held to the schema, as typed values are by ComfyUI."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from comfy_api.latest import io

from .. import host
from ..core.checks import check_mask, check_number, check_picture
from ..core.noise import SEED_LIMIT

CHECKS: dict[str, Callable[[str, Any], None]] = {
    "IMAGE": check_picture,
    "MASK": check_mask,
    "CONDITIONING": host.check_prompt,
}


def guarded(node: type[io.ComfyNode]) -> None:
    """Have a node's ``execute`` check its arguments first; ValueError names the input, the value and the way out.

    What is allowed, but most likely a mistake, the node says below the words of its run.
    """
    execute: Any = node.execute.__func__  # type: ignore[attr-defined]
    signature = inspect.signature(execute)

    @wraps(execute)
    def checked(cls: type[io.ComfyNode], *args: Any, **kwargs: Any) -> io.NodeOutput:
        inputs = {one.id: one for one in node.define_schema().inputs}  # anew, as a menu's words may have changed
        bound = signature.bind_partial(cls, *args, **kwargs)
        given = {name: value for name, value in bound.arguments.items() if value is not None and name in inputs}
        given = {name: _held(inputs[name], value) for name, value in given.items()}
        bound.arguments |= given
        out = execute(*bound.args, **bound.kwargs)
        if "mask" in inputs:
            out.ui = host.with_lines(out.ui, _about_the_mask(inputs, given))
        return out

    setattr(node, "execute", classmethod(checked))  # noqa: B010, because the type checker knows what it was


def _held(one: Any, value: Any) -> Any:
    """A value, held to its input of the schema."""
    if one.id == "seed" and isinstance(value, int):
        # A stock integer that rolls is negative half of the time; PyTorch, and so KSampler, take it modulo 2^64.
        value = value if value >= one.min else value % SEED_LIMIT
    _check(one, value)
    return value


def _check(one: Any, value: Any) -> None:
    """Hold one value to its input of the schema."""
    name, kind = one.display_name or one.id, one.get_io_type()
    if kind in ("INT", "FLOAT"):
        check_number(name, value, one.min, one.max)
    elif kind == "COMBO" and value not in one.options:
        raise ValueError(f"{name}: {value!r} is unknown here; choose one of {', '.join(map(str, one.options))}")
    elif kind in CHECKS:
        CHECKS[kind](name, value)


def _about_the_mask(inputs: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """What the node says of a mask that belongs to no picture of its."""
    kinds = {name: inputs[name].get_io_type() for name in given}
    latents = [given[name] for name, kind in kinds.items() if kind == "LATENT"]
    mask = given.get("mask", next((latent["noise_mask"] for latent in latents if "noise_mask" in latent), None))
    if mask is None:
        return []
    cells = [latent["samples"] for latent in latents]
    cells += [given[name].clean for name, kind in kinds.items() if kind == "IMG2IMG_INVERSION"]
    pixels = host.cell_pixels(given["model"]) if "model" in given else 1
    sizes = [tuple(pixels * side for side in one.shape[-2:]) for one in cells if one.ndim > 3]
    sizes += [tuple(given[name].shape[1:3]) for name, kind in kinds.items() if kind == "IMAGE"]
    return host.stretched_mask(mask, sizes)

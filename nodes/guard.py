"""A guard at the door of every node: what comes in by a link is held to the schema, as typed values are by ComfyUI."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from comfy_api.latest import io

from .. import host
from ..core.checks import check_mask, check_number, check_picture

CHECKS: dict[str, Callable[[str, Any], None]] = {
    "IMAGE": check_picture,
    "MASK": check_mask,
    "CONDITIONING": host.check_prompt,
}


def guarded(node: type[io.ComfyNode]) -> None:
    """Have a node's ``execute`` check its arguments first; ValueError names the input, the value and the way out."""
    execute: Any = node.execute.__func__  # type: ignore[attr-defined]
    signature = inspect.signature(execute)

    @wraps(execute)
    def checked(cls: type[io.ComfyNode], *args: Any, **kwargs: Any) -> io.NodeOutput:
        inputs = {one.id: one for one in node.define_schema().inputs}  # anew, as a menu's words may have changed
        for name, value in signature.bind_partial(cls, *args, **kwargs).arguments.items():
            if value is not None and name in inputs:
                _check(inputs[name], value)
        return execute(cls, *args, **kwargs)

    setattr(node, "execute", classmethod(checked))  # noqa: B010, because the type checker knows what it was


def _check(one: Any, value: Any) -> None:
    """Hold one value to its input of the schema."""
    name, kind = one.display_name or one.id, one.get_io_type()
    if kind in ("INT", "FLOAT"):
        check_number(name, value, one.min, one.max)
    elif kind == "COMBO" and value not in one.options:
        raise ValueError(f"{name}: {value!r} is unknown here; choose one of {', '.join(map(str, one.options))}")
    elif kind in CHECKS:
        CHECKS[kind](name, value)

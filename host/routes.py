"""The pack's own addresses on ComfyUI's server: what the bodies of its nodes ask for."""

from __future__ import annotations

import sys
from typing import Any

from .shown import shown_before


def server() -> Any:
    """ComfyUI's server; None where its code runs without one."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def add_routes() -> None:
    """Answer the pack's addresses on ComfyUI's server, where there is one."""
    running = server()
    if running is not None:
        running.routes.post("/img2img_studio/shown")(answer_shown)


async def answer_shown(request: Any) -> Any:
    """{"prompt_id", "nodes": [ids]} -> {id: what it showed when it last ran with the same inputs}."""
    from aiohttp import web

    asked = await request.json()
    return web.json_response(shown_before(server().prompt_queue, asked["prompt_id"], asked["nodes"]))

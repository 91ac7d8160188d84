"""The pack's own addresses on ComfyUI's server: what the bodies of its nodes ask for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from .files import asked_folder
from .plan import asked_plan
from .shown import shown_before, workflow_of


def server() -> Any:
    """ComfyUI's server; None where its code runs without one."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def add_routes() -> None:
    """Answer the pack's addresses on ComfyUI's server, where there is one."""
    running = server()
    if running is not None:
        running.routes.post("/img2img_studio/shown")(answer_shown)
        running.routes.post("/img2img_studio/plan")(answering(asked_plan))
        running.routes.post("/img2img_studio/folder")(answering(asked_folder))


async def answer_shown(request: Any) -> Any:
    """{"prompt_id", "nodes": [ids]} -> {"workflow": its id, "shown": {id: what it showed when it last ran so}}."""
    from aiohttp import web

    asked = await request.json()
    queue, prompt_id = server().prompt_queue, asked["prompt_id"]
    shown = shown_before(queue, prompt_id, asked["nodes"])
    return web.json_response({"workflow": workflow_of(queue, prompt_id), "shown": shown})


def answering(asked: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    """A route that hands a question in JSON on and answers what comes of it; 400 says what is wrong with it."""

    async def answer(request: Any) -> Any:
        from aiohttp import web

        question = await request.json()
        try:
            # Beside the server's own loop: a scheduler of another pack, or a long folder, may take its time.
            found = await asyncio.get_running_loop().run_in_executor(None, asked, question)
        except Exception as error:  # whatever a scheduler of another pack may raise
            return web.json_response({"error": f"{error}"}, status=400)
        return web.json_response(found)

    return answer

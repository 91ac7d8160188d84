"""A running ComfyUI and the client that talks to it: one for the demo, the tests and the benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
import websocket
from PIL import Image
from typing_extensions import Self

from .comfyui import Host

LONGEST_START = 300.0  # seconds; a first start on a cold disk took 40
Event = dict[str, Any]


class ServerError(RuntimeError):
    """The server did not start, or refused a prompt, or a node failed; the message is what ComfyUI said."""


@dataclass
class Run:
    """What came of one queued prompt.

    outputs:  what each output node showed, by node id: {"9": {"images": [...]}, "12": {"text": [...]}}
    events:   the messages of this run, in order, as ComfyUI sent them
    previews: how many preview pictures came while it ran
    """

    prompt_id: str
    outputs: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    previews: int = 0

    @property
    def interrupted(self) -> bool:
        """True if somebody canceled it."""
        return any(event["type"] == "execution_interrupted" for event in self.events)

    @property
    def texts(self) -> list[str]:
        """The texts that its nodes showed, as PreviewAny does."""
        return [text for output in self.outputs.values() for text in output.get("text", [])]

    @property
    def error(self) -> str | None:
        """What the failing node said, None if all went well."""
        failures = (event["data"] for event in self.events if event["type"] == "execution_error")
        return next((f"{data['node_type']}: {data['exception_message'].strip()}" for data in failures), None)


class Server:
    """A ComfyUI on a free loopback port, with input, output, temp and user folders of its own in `folder`.

    It finds models in `folder/models` beside those of its host. Use it as a context manager: it is ready inside, and
    gone after.
    """

    def __init__(self, host: Host, folder: Path, arguments: Sequence[str] = ()) -> None:
        self.host = host
        self.folder = folder
        self.arguments = list(arguments)
        self.log = folder / "server.log"
        self.client_id = uuid.uuid4().hex
        self.http = requests.Session()
        self.http.trust_env = False  # this machine's proxy does not reach its loopback
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers; ServerError with the end of its log if it does not."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.host.python, "main.py", *self._options(), "--port", str(port), *self.arguments],
                cwd=self.host.path,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
            )
        try:
            self._wait_until_ready()
            self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}/ws?clientId={self.client_id}")
        except BaseException:
            self.stop()
            raise

    def _environment(self) -> dict[str, str]:
        """The pinned host only ever runs the toy, which is too small to gain from more threads than one."""
        toy = {"OMP_NUM_THREADS": "1"} if self.host.is_pinned else {}
        return {**toy, **os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}

    def stop(self) -> None:
        """End the process that `start` began, and no other."""
        with contextlib.suppress(AttributeError, OSError, websocket.WebSocketException):
            self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @cached_property
    def object_info(self) -> dict[str, Any]:
        """Every node the server knows, by id, as the frontend sees it."""
        return self.get("object_info")

    def get(self, path: str) -> Any:
        """The JSON that the server answers on `path`."""
        answer = self.http.get(f"{self.url}/{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def upload(self, picture: Path) -> str:
        """Put a picture into the input folder; returns the name for LoadImage."""
        with picture.open("rb") as file:
            files = {"image": (picture.name, file)}
            answer = self.http.post(f"{self.url}/upload/image", files=files, data={"overwrite": "true"}, timeout=60)
        answer.raise_for_status()
        return answer.json()["name"]

    def to_prompt(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """A workflow as the frontend saves it, converted to the form that is queued."""
        from comfy_cli.workflow_to_api import convert_ui_to_api  # half a second, and not every caller converts

        return convert_ui_to_api(workflow, self.object_info)

    def queue(self, prompt: dict[str, Any]) -> str:
        """Queue a prompt; returns its id, or raises ServerError with the server's objections."""
        answer = self.http.post(f"{self.url}/prompt", json={"prompt": prompt, "client_id": self.client_id}, timeout=60)
        if answer.status_code == requests.codes.bad_request:
            raise ServerError(_refusal(answer.json()))
        answer.raise_for_status()
        queued = answer.json()
        if queued["node_errors"]:  # ComfyUI would run the part of the prompt that is sound
            self.http.post(f"{self.url}/queue", json={"delete": [queued["prompt_id"]]}, timeout=60).raise_for_status()
            raise ServerError(_refusal(queued))
        return queued["prompt_id"]

    def follow(self, prompt_id: str, on_event: Callable[[Event], None] | None = None, longest: float = 600) -> Run:
        """Listen until a queued prompt has ended, well or badly.

        on_event: called with each message of this run as it comes, for a progress line or to interrupt half-way
        longest:  seconds between two messages before the wait is given up
        """
        run = Run(prompt_id)
        self.socket.settimeout(longest)
        for event in self._events(run):
            run.events.append(event)
            if on_event:
                on_event(event)
            if event["type"] == "executing" and event["data"]["node"] is None:
                break
        run.outputs = self.get(f"history/{prompt_id}")[prompt_id]["outputs"]
        return run

    def run(self, prompt: dict[str, Any], on_event: Callable[[Event], None] | None = None) -> Run:
        """Queue a prompt and follow it; ServerError with the node's own message if it fails."""
        run = self.follow(self.queue(prompt), on_event)
        if run.error:
            raise ServerError(run.error)
        return run

    def interrupt(self) -> None:
        """Cancel what is running, as the frontend's button does."""
        self.http.post(f"{self.url}/interrupt", timeout=60).raise_for_status()

    def images(self, run: Run, node: str | None = None) -> list[Image.Image]:
        """The pictures that the nodes of a run, or one of them, saved or previewed."""
        shown = run.outputs.values() if node is None else [run.outputs.get(node, {})]
        return [self._image(file) for output in shown for file in output.get("images", [])]

    def _options(self) -> Iterator[str]:
        for kind in ("input", "output", "temp", "user"):
            path = self.folder / kind
            path.mkdir(parents=True, exist_ok=True)
            yield from (f"--{kind}-directory", str(path))
        example = self.host.path / "input" / "example.png"
        if example.is_file():
            shutil.copy(example, self.folder / "input")  # the workflows load what ComfyUI ships
        models, kinds = self.folder / "models", ("checkpoints", "controlnet")
        for kind in kinds:
            (models / kind).mkdir(parents=True, exist_ok=True)
        more_models = {"own": {"base_path": str(models)} | {kind: kind for kind in kinds}}
        settings = self.folder / "model_paths.yaml"
        settings.write_text(json.dumps(more_models), encoding="utf-8")  # JSON is YAML
        yield from ("--extra-model-paths-config", str(settings))
        yield from ("--listen", "127.0.0.1", "--disable-auto-launch", "--disable-api-nodes")
        yield from ("--database-url", "sqlite:///:memory:")

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + LONGEST_START
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise ServerError(f"ComfyUI stopped while starting. The end of its log:\n{self._end_of_log()}")
            with contextlib.suppress(requests.RequestException):
                if self.http.get(f"{self.url}/system_stats", timeout=10).ok:
                    return
            time.sleep(0.2)
        raise ServerError(f"ComfyUI did not answer within {LONGEST_START:.0f} s. Its log ends:\n{self._end_of_log()}")

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])

    def _events(self, run: Run) -> Iterator[Event]:
        while True:
            try:
                message = self.socket.recv()
            except (OSError, websocket.WebSocketException) as error:
                raise ServerError(f"ComfyUI fell silent ({error}). Its log ends:\n{self._end_of_log()}") from error
            if isinstance(message, bytes):
                run.previews += 1
                continue
            event = json.loads(message)
            if event.get("data", {}).get("prompt_id") == run.prompt_id:
                yield event

    def _image(self, file: dict[str, str]) -> Image.Image:
        answer = self.http.get(f"{self.url}/view", params=file, timeout=60)
        answer.raise_for_status()
        return Image.open(BytesIO(answer.content))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _refusal(answer: dict[str, Any]) -> str:
    """The server's answer to a bad prompt as one text: the error, then each node's own."""
    error = answer.get("error")
    lines = [f"{error['message']} {error['details']}".strip()] if error else []
    for node in (answer.get("node_errors") or {}).values():
        lines += [f"{node['class_type']}: {error['message']}: {error['details']}" for error in node["errors"]]
    return "\n".join(lines)

"""The client of one ComfyUI: everything the fleet says to a server goes through here."""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from .errors import FleetError, Refused, ServerTrouble

CLIENT = "img2img-fleet"  # says in a server's queue which prompts are ours
AUTHORIZATION = "FLEET_AUTHORIZATION"
CERTIFICATES, UNTRUSTED = "REQUESTS_CA_BUNDLE", "certificate verify failed"
PATIENCE = (5.0, 60.0)  # seconds to wait for a connection, and for an answer
NO_MODELS = ("configs", "custom_nodes")  # ComfyUI lists them among its models, and the second may take minutes
PAUSES = (0.2, 0.6)  # seconds before a question is asked again

Prompt = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A file that a server wrote, as its history names it."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True)
class Ended:
    """A prompt that ran to its end.

    error:   what the failing node said, None if all went well
    saved:   the files its nodes saved, node by node; previews are not among them
    texts:   what its nodes showed as text, such as reports
    seconds: how long it ran, by the server's own clock
    """

    error: str | None
    saved: tuple[Place, ...] = ()
    texts: tuple[str, ...] = ()
    seconds: float = 0.0


def tidy_url(url: str) -> str:
    """A server's address as it is used everywhere: with its scheme, without the slash at the end.

    raises: FleetError where it is no http or https address
    """
    tidy = (url if "://" in url else f"http://{url}").rstrip("/")
    parts = urlsplit(tidy)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise FleetError(
            f"{url!r} is no address of a server; write one like http://127.0.0.1:8188 or https://gpu.example:443"
        )
    if parts.username or parts.password:
        raise FleetError(
            f"The address of {parts.hostname!r} holds a password, which would end up in reports. Leave it out and set "
            f"the environment variable {AUTHORIZATION} to the whole header, such as 'Bearer …' or 'Basic …'."
        )
    return tidy


def is_loopback(host: str) -> bool:
    """True for this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ComfyServer:
    """One ComfyUI by its address. Its methods may be called from several threads.

    Every method raises ServerTrouble where the server does not answer, or answers nonsense, three times in a row.
    The environment variable FLEET_AUTHORIZATION is sent as the Authorization header, if it is set; REQUESTS_CA_BUNDLE
    names the certificates that https servers are trusted by, if they are not the usual ones.
    """

    def __init__(self, url: str) -> None:
        self.url = tidy_url(url)
        self._local = threading.local()

    @property
    def _http(self) -> requests.Session:
        """A connection for each thread: requests does not promise that two may share one."""
        if not hasattr(self._local, "http"):
            http = requests.Session()
            http.trust_env = not is_loopback(urlsplit(self.url).hostname or "")  # no proxy knows our loopback
            http.verify = os.environ.get(CERTIFICATES) or True  # without trust_env, requests does not look there
            if os.environ.get(AUTHORIZATION):
                http.headers["Authorization"] = os.environ[AUTHORIZATION]
            self._local.http = http
        return self._local.http

    def alive(self) -> bool:
        """True if it answers right now."""
        try:
            return isinstance(self._json("GET", "system_stats", tries=1, timeout=PATIENCE[0]), dict)
        except ServerTrouble:
            return False

    def versions(self) -> dict[str, str]:
        """What a result's bits may depend on: ComfyUI, Python, torch, system and device."""
        stats = self._json("GET", "system_stats")
        try:
            system, devices = stats["system"], stats["devices"]
            return {
                "comfyui": str(system["comfyui_version"]),
                "python": str(system["python_version"]).split()[0],
                "torch": str(system["pytorch_version"]),
                "system": str(system["os"]),
                "device": ", ".join(str(device["name"]) for device in devices),
            }
        except (KeyError, TypeError, IndexError) as error:
            raise ServerTrouble(f"{self.url}: system_stats is not what ComfyUI answers ({error!r})") from error

    def object_info(self) -> dict[str, Any]:
        """Every node it knows, by id, as the frontend sees it."""
        return self._json("GET", "object_info")

    def models(self) -> dict[str, list[str]]:
        """The names of its model files, by folder."""
        folders = [folder for folder in self._json("GET", "models") if folder not in NO_MODELS]
        return {folder: self._json("GET", f"models/{quote(folder, safe='')}") for folder in folders}

    def upload(self, content: bytes, name: str, subfolder: str) -> None:
        """Put a picture into its input folder, over one of the same name."""
        files = {"image": (name, content)}
        data = {"subfolder": subfolder, "overwrite": "true"}
        answer = self._json("POST", "upload/image", files=files, data=data)
        if not isinstance(answer, dict) or answer.get("name") != name:
            raise ServerTrouble(f"{self.url} kept {name!r} under another name: {answer!r}")

    def waiting(self) -> int:
        """How many of the fleet's prompts wait in its queue, the running one not counted."""
        if self._json("GET", "prompt").get("exec_info", {}).get("queue_remaining", 2) <= 1:
            return 0  # at most one runs; a short question, where the whole queue is a long answer
        pending = self._queue("queue_pending")
        return sum(1 for entry in pending if len(entry) > 3 and entry[3].get("client_id") == CLIENT)

    def queue(self, prompt: Prompt, prompt_id: str) -> None:
        """Queue a prompt under an id once, whatever becomes of the answer. Refused says why it was not taken."""
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": CLIENT}
        for pause in (*PAUSES, None):
            try:
                answer = self._json("POST", "prompt", json=body, tries=1)
            except ServerTrouble:
                if self.knows(prompt_id):  # it was taken, and only the answer was lost
                    return
                if pause is None:
                    raise
                time.sleep(pause)
                continue
            if answer.get("node_errors") and not answer.get("error"):  # ComfyUI would run the sound part of it
                self.cancel([prompt_id])
            if answer.get("error") or answer.get("node_errors"):
                raise Refused(_refusal(answer))
            return

    def knows(self, prompt_id: str) -> bool:
        """True if a prompt waits, runs or has ended there."""
        return self.ended(prompt_id) is not None or self._is_queued(prompt_id) or self.ended(prompt_id) is not None

    def ended(self, prompt_id: str) -> Ended | None:
        """How a prompt ended, or None while it has not."""
        history = self._json("GET", f"history/{prompt_id}")
        return _ended(history[prompt_id]) if prompt_id in history else None

    def fetch(self, place: Place) -> bytes:
        """A saved file, byte for byte."""
        params = {"filename": place.filename, "subfolder": place.subfolder, "type": place.type}
        answer = self._ask("GET", "view", params=params)
        length = answer.headers.get("Content-Length")
        if length is not None and "Content-Encoding" not in answer.headers and int(length) != len(answer.content):
            raise ServerTrouble(f"{self.url} sent {len(answer.content)} of {length} bytes of {place.filename!r}")
        return answer.content

    def cancel(self, prompt_ids: list[str]) -> None:
        """Take prompts out of its queue, and interrupt the one that runs; others' prompts are left alone."""
        if not prompt_ids:
            return
        self._ask("POST", "queue", json={"delete": prompt_ids}, tries=1)
        running = {entry[1] for entry in self._queue("queue_running")}
        for prompt_id in running.intersection(prompt_ids):
            self._ask("POST", "interrupt", json={"prompt_id": prompt_id}, tries=1)

    def _is_queued(self, prompt_id: str) -> bool:
        return any(entry[1] == prompt_id for entry in self._queue("queue_running", "queue_pending"))

    def _queue(self, *parts: str) -> list[Any]:
        queue = self._json("GET", "queue")
        try:
            return [entry for part in parts for entry in queue[part]]
        except (KeyError, TypeError) as error:
            raise ServerTrouble(f"{self.url}: its queue is not what ComfyUI answers ({error!r})") from error

    def _json(self, method: str, path: str, tries: int = len(PAUSES) + 1, **how: Any) -> Any:
        return self._ask(method, path, tries, as_json=True, **how)

    def _ask(self, method: str, path: str, tries: int = len(PAUSES) + 1, as_json: bool = False, **how: Any) -> Any:
        """The answer to a question that may be asked again: a response, or the JSON in it."""
        how.setdefault("timeout", PATIENCE)
        fault: Exception | str = ""
        for attempt in range(tries):
            if attempt:
                time.sleep(PAUSES[attempt - 1])
            try:
                answer = self._http.request(method, f"{self.url}/{path}", **how)
                if answer.status_code < 500:
                    return self._checked(answer, path, as_json)
                fault = f"HTTP {answer.status_code}"
            except (requests.RequestException, ValueError) as error:  # ValueError: malformed JSON
                fault = error
                if UNTRUSTED in str(error):
                    break
        raise ServerTrouble(f"{self.url} does not answer as it should on /{path.partition('/')[0]} ({_short(fault)})")

    def _checked(self, answer: requests.Response, path: str, as_json: bool) -> Any:
        """The response; a refused prompt comes with a reason of its own, which is an answer too."""
        refused = path == "prompt" and answer.status_code == requests.codes.bad_request
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise ServerTrouble(
                f"{self.url} wants to know who you are (HTTP {answer.status_code}); set {AUTHORIZATION} to the "
                "Authorization header it expects"
            )
        if not answer.ok and not refused:
            raise ServerTrouble(f"{self.url} answers HTTP {answer.status_code} on /{path}")
        if not as_json:
            return answer
        said = answer.json()
        if not isinstance(said, list if path.startswith("models") else dict):
            raise ValueError(f"an answer of another kind: {answer.text[:60]!r}")
        return said


def _ended(entry: dict[str, Any]) -> Ended:
    """What an entry of a server's history says."""
    try:
        status = entry.get("status") or {}
        messages = dict(status.get("messages", []))
        if "execution_error" in messages:
            data = messages["execution_error"]
            return Ended(f"{data['node_type']} (node {data['node_id']}): {str(data['exception_message']).strip()}")
        if "execution_interrupted" in messages:
            return Ended("it was interrupted on the server")
        outputs = dict(sorted(entry["outputs"].items(), key=lambda item: _natural(item[0])))
        texts = [str(text) for shown in outputs.values() for text in shown.get("text", [])]
        return Ended(None, tuple(_saved(outputs)), tuple(texts), _seconds(messages))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ServerTrouble(f"its history is not what ComfyUI answers ({error!r})") from error


def _seconds(messages: dict[str, Any]) -> float:
    start, end = (messages.get(kind, {}).get("timestamp") for kind in ("execution_start", "execution_success"))
    return round((end - start) / 1000, 3) if start and end else 0.0


def _saved(outputs: dict[str, Any]) -> Iterator[Place]:
    """Whatever an output node saved: pictures, but also animations and sound, which other keys hold."""
    for shown in outputs.values():
        for items in shown.values():
            for item in items if isinstance(items, list) else []:
                if isinstance(item, dict) and item.get("type") == "output" and "filename" in item:
                    yield Place(str(item["filename"]), str(item.get("subfolder", "")), "output")


def _natural(node: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in node.split(":"))


def _refusal(answer: dict[str, Any]) -> str:
    """The answer to a bad prompt as one text: the error, then each node's own."""
    error = answer.get("error")
    lines = [f"{error.get('message', '')} {error.get('details', '')}".strip()] if isinstance(error, dict) else []
    for number, node in (answer.get("node_errors") or {}).items():
        for fault in node.get("errors", []):
            lines.append(f"{node.get('class_type')} (node {number}): {fault.get('message')}: {fault.get('details')}")
    return "; ".join(lines) or str(answer)


def _short(fault: Exception | str) -> str:
    text = " ".join(str(fault).split())
    if UNTRUSTED in text:
        return f"{UNTRUSTED}; if the certificate is of your own making, name your authority's file in {CERTIFICATES}"
    for sign in ("Connection refused", "timed out", "Connection aborted", "Name or service not known"):
        if sign in text:
            return sign.lower()
    return text[:160]

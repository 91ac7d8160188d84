"""Stand-ins for ComfyUI that misbehave on purpose: `python standin.py COUNT SECONDS CHAOS SEED` serves so many of them,
by https if CERTIFICATE follows, a file that holds a key and its certificate.

They speak as much of ComfyUI's HTTP API as the fleet uses. A prompt takes SECONDS; its result is a small picture made
of the prompt's hash, so that a right result is known without a server. CHAOS 0..1 is the chance that a question goes
wrong: answered late, cut off before or after it took effect, with HTTP 500, or with malformed JSON. With any
chaos, every 20th prompt crashes some servers, which then forget all they knew, and finds the disk of others full.
The first line printed is the JSON list of addresses; POST /stand-in on any of them tells what it has seen.
"""

import asyncio
import hashlib
import io
import json
import random
import sys
import time

import tornado.web
from PIL import Image

LATE = 0.25  # seconds
CRASHED = 0.4  # seconds without answers after a crash
OBJECT_INFO = {
    "StandIn": {
        "input": {"required": {"seed": ["INT", {}], "model": [["toy"], {}]}},
        "output_node": False,
        "input_order": {"required": ["seed", "model"]},
    },
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}, "output_node": False},
    "SaveImage": {"input": {"required": {"images": ["IMAGE"]}}, "output_node": True},
    "PreviewImage": {"input": {"required": {"images": ["IMAGE"]}}, "output_node": True},
}


def picture_of(prompt):
    """The result of a prompt: a PNG whose pixels are its hash."""
    digest = hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).digest()
    file = io.BytesIO()
    Image.frombytes("RGB", (2, 5), digest[:30]).save(file, "PNG", compress_level=1)
    return file.getvalue()


class StandIn:
    def __init__(self, number, seconds, chaos, seed):
        self.name, self.seconds, self.chaos = str(number), seconds, chaos
        self.random = random.Random(f"{seed} {number}")
        self.torch = "2.11.0"
        self.options = {}
        self.seen = {"deepest": 0, "ran": 0, "crashes": 0, "wrong": 0, "canceled": 0}
        self.uploads = []
        self.down_until = 0.0
        self.asked = asyncio.Event()
        self.forget()

    def forget(self):
        self.pending, self.running, self.history, self.files = [], None, {}, {}

    def depth(self):
        return len(self.pending) + (self.running is not None)

    async def work(self):
        """Run one prompt after the other."""
        while True:
            if not self.pending:
                self.asked.clear()
                await self.asked.wait()
                continue
            prompt_id, prompt, _ = self.running = self.pending.pop(0)
            await asyncio.sleep(self.seconds)
            if self.running is None or self.running[0] != prompt_id:
                continue  # it was interrupted, or forgotten
            self.running = None
            self.seen["ran"] += 1
            self.end(prompt_id, prompt)

    def end(self, prompt_id, prompt):
        error = self.options.get("error")
        unlucky = self.chaos and self.seen["ran"] % 20 == 7
        if unlucky and self.name.endswith(("0", "4", "8")):
            self.seen["crashes"] += 1
            self.forget()
            self.down_until = time.monotonic() + CRASHED
            return
        if unlucky and self.name.endswith(("1", "5", "9")):
            error = "[Errno 28] No space left on device"
        if error:
            failure = {"node_type": "StandIn", "node_id": "1", "exception_message": error}
            self.history[prompt_id] = {"outputs": {}, "status": {"messages": [["execution_error", failure]]}}
            return
        name = f"result_{len(self.files):05}_.png"
        content = picture_of(prompt)
        if self.options.get("other bits"):
            content = picture_of([prompt, self.name])
        self.files[name] = content
        saved = [{"filename": name, "subfolder": "", "type": "output"}] if not self.options.get("saves nothing") else []
        outputs = {"2": {"images": saved}, "3": {"text": ['{"seed": 1}']}}
        times = [["execution_start", {"timestamp": 1000}], ["execution_success", {"timestamp": 1250}]]
        self.history[prompt_id] = {"outputs": outputs, "status": {"messages": times}}


class Handler(tornado.web.RequestHandler):
    def initialize(self, stand_in):
        self.stand_in = stand_in

    async def prepare(self):
        if self.stand_in.down_until > time.monotonic():
            return self.cut()
        self.trouble = None
        wanted = self.stand_in.options.get("authorization")
        if wanted and self.request.headers.get("Authorization") != wanted and self.request.path != "/stand-in":
            return self.send_error(401)
        if self.stand_in.random.random() < self.stand_in.chaos and self.request.path != "/stand-in":
            self.stand_in.seen["wrong"] += 1
            self.trouble = self.stand_in.random.choice(["late", "cut", "cut after", "500", "500 after", "malformed"])
        if self.trouble == "late":
            await asyncio.sleep(LATE)
        elif self.trouble == "cut":
            self.cut()
        elif self.trouble == "500":
            self.send_error(500)

    def cut(self):
        self.request.connection.stream.close()
        self._finished = True

    def write_error(self, status_code, **_):
        self.finish(f"HTTP {status_code}")

    def say(self, answer):
        if self.trouble == "cut after":
            return self.cut()
        if self.trouble == "500 after":
            return self.send_error(500)
        text = json.dumps(answer)
        return self.finish(text[: len(text) // 2] if self.trouble == "malformed" else text)

    def body(self):
        return json.loads(self.request.body or b"{}")

    def get(self, path):
        stand_in = self.stand_in
        name, _, rest = path.partition("/")
        if name == "system_stats":
            system = {"comfyui_version": "0.3.75", "python_version": "3.11.7 (main)", "os": "posix"}
            self.say({"system": system | {"pytorch_version": stand_in.torch}, "devices": [{"name": "cpu"}]})
        elif name == "object_info":
            self.say(stand_in.options.get("object_info", OBJECT_INFO))
        elif name == "models":
            self.say(["a.safetensors"] if rest else ["checkpoints"])
        elif name == "prompt":
            self.say({"exec_info": {"queue_remaining": stand_in.depth()}})
        elif name == "queue":
            as_listed = [[0, one[0], one[1], {"client_id": one[2]}, []] for one in stand_in.pending]
            running = [[0, stand_in.running[0], {}, {}, []]] if stand_in.running else []
            self.say({"queue_running": running, "queue_pending": as_listed})
        elif name == "history":
            self.say({rest: stand_in.history[rest]} if rest in stand_in.history else {})
        elif name == "view":
            content = stand_in.files.get(self.get_argument("filename"))
            if content is None:
                return self.send_error(404)
            if self.trouble in ("cut after", "500 after"):
                return self.cut() if self.trouble == "cut after" else self.send_error(500)
            self.finish(content)
        else:
            self.send_error(404)

    def post(self, path):
        stand_in = self.stand_in
        if path == "stand-in":
            stand_in.options |= self.body()
            stand_in.seconds = stand_in.options.get("seconds", stand_in.seconds)
            stand_in.torch = stand_in.options.get("torch", stand_in.torch)
            stand_in.chaos = stand_in.options.get("chaos", stand_in.chaos)
            self.finish(json.dumps(stand_in.seen | {"depth": stand_in.depth(), "uploads": stand_in.uploads}))
        elif path == "prompt":
            body = self.body()
            stand_in.pending.append((body["prompt_id"], body["prompt"], body["client_id"]))
            stand_in.asked.set()
            stand_in.seen["deepest"] = max(stand_in.seen["deepest"], stand_in.depth())
            self.say({"prompt_id": body["prompt_id"], "number": 1, "node_errors": {}})
        elif path == "queue":
            gone = self.body()["delete"]
            stand_in.pending = [one for one in stand_in.pending if one[0] not in gone]
            self.say({})
        elif path == "interrupt":
            if stand_in.running and stand_in.running[0] == self.body()["prompt_id"]:
                stand_in.seen["canceled"] += 1
                stand_in.running = None
            self.say({})
        elif path == "upload/image":
            file = self.request.files["image"][0]
            stand_in.uploads.append(f"{self.get_body_argument('subfolder')}/{file.filename}")
            self.say({"name": file.filename, "subfolder": self.get_body_argument("subfolder"), "type": "input"})
        else:
            self.send_error(404)


async def serve(count, seconds, chaos, seed, certificate=None):
    secure = {"ssl_options": {"certfile": certificate}} if certificate else {}
    urls, stand_ins = [], []
    for number in range(count):
        stand_in = StandIn(number, seconds, chaos, seed)
        app = tornado.web.Application([(r"/(.*)", Handler, {"stand_in": stand_in})], log_function=lambda _: None)
        server = app.listen(0, "127.0.0.1", **secure)
        (listening,) = server._sockets.values()
        urls.append(f"http{'s' if secure else ''}://127.0.0.1:{listening.getsockname()[1]}")
        stand_ins.append(stand_in)
    print(json.dumps(urls), flush=True)
    await asyncio.gather(*(stand_in.work() for stand_in in stand_ins))


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:]))

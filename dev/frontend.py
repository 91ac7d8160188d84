"""ComfyUI's real frontend in a real Chromium: what the browser tests and the pictures of the README look at."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response, sync_playwright
from playwright.sync_api import TimeoutError as NotSeen

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Validation.Workflows": True,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,  # text is drawn at every zoom
    # The shipped workflows name checkpoints to download; this machine need not have them.
    "Comfy.Workflow.ShowMissingModelsWarning": False,
}

# The frontend says that it is ready before it has opened its first workflow, which would take the place of another one.
READY = """() => window.app?.vueAppReady && window.app.extensionManager.workflow.activeWorkflow?.changeTracker
    && !document.querySelector('.p-progressspinner')"""
LOADED = "count => window.app.graph.nodes.length === count"
LONGEST_START_MS = 120_000
LONGEST_WAIT_MS = 90_000  # for anything else; a busy machine is slow to draw
LONGEST_SEARCH_MS = 10_000  # the search waits for typing to end, then lists within a blink
LONGEST_RUN = 300  # seconds
MESSAGES = ".p-dialog, .p-toast-message, [data-testid=error-overlay]"  # the last is the newer frontends'
TOOLBARS = 200  # pixels at each side of the window
# Left, top, right, bottom of everything on the canvas.
GRAPH_BOX = """() => {
    const things = [...window.app.graph.nodes, ...window.app.graph.groups];
    const boxes = things.map(({ boundingRect: [x, y, width, height] }) => [x, y, x + width, y + height]);
    const outermost = (side, pick) => pick(...boxes.map(box => box[side]));
    return [...[0, 1].map(side => outermost(side, Math.min)), ...[2, 3].map(side => outermost(side, Math.max))];
}"""
# The frontend asks for a help page in the user's language first, and is content not to find one.
TRANSLATED_HELP = re.compile(r"/docs/\w+/[\w-]+\.md")


@contextlib.contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """A headless Chromium of the system, closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Frontend:
    """A tab with ComfyUI's frontend in it.

    problems: errors about files of this pack, from the browser console and the server
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url.rstrip("/")
        self.page: Page = browser.new_page(viewport={"width": 1500, "height": 950})
        self.page.set_default_timeout(LONGEST_WAIT_MS)
        self.page.add_init_script("localStorage.setItem('vueNodesBannerDismissed', 'true')")
        self.pack = self._pack()
        self.problems: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._note(f"{error}\n{error.stack}"))
        self.page.on("response", self._response)

    def open(self, template: str = "", vue_nodes: bool = False, palette: str = "dark") -> None:
        """Load the frontend, with one of this pack's workflows if it is named, and wait until it can be used.

        vue_nodes: Nodes 2.0 instead of the classic canvas
        palette:   a color theme, dark or light
        """
        settings = SETTINGS | {"Comfy.VueNodes.Enabled": vue_nodes, "Comfy.ColorPalette": palette}
        self.page.request.post(f"{self.url}/settings", data=settings)
        self.page.goto(self.url)
        self.wait_until_ready()
        if template:
            self.load(self.workflow(template), template)

    def wait_until_ready(self) -> None:
        """Wait until the frontend has loaded its extensions and drawn its first graph."""
        self.page.wait_for_function(READY, timeout=LONGEST_START_MS)

    def workflow(self, template: str) -> dict[str, Any]:
        """A workflow file as the template browser delivers it."""
        return self.page.request.get(f"{self.url}/api/workflow_templates/{self.pack}/{template}.json").json()

    def load(self, workflow: dict[str, Any], name: str | None = None) -> None:
        """Put a workflow (UI format) on the canvas, checked as the template browser checks it, in a tab of its name."""
        self.page.evaluate("given => window.app.loadGraphData(given[0], true, true, given[1])", [workflow, name])
        self.page.wait_for_function(LOADED, arg=len(workflow["nodes"]))

    def put(self, node: str, prompt: dict[str, Any]) -> None:
        """Put a prompt (API format) on the canvas, with one of its nodes in the middle of the view."""
        self.page.evaluate("prompt => window.app.loadApiJson(prompt, 'prompt')", prompt)
        self.page.wait_for_function(LOADED, arg=len(prompt))
        self.page.evaluate("node => window.app.canvas.centerOnNode(window.app.graph.getNodeById(node))", node)

    def browse_templates(self) -> None:
        """Open the template browser at this pack's workflows."""
        self.page.evaluate("() => window.app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        self.page.get_by_role("dialog").get_by_text(self.pack, exact=True).click()

    def choose_template(self, template: str) -> None:
        """Click a workflow in the open template browser, and wait until it is on the canvas."""
        nodes = self.workflow(template)["nodes"]
        self.page.get_by_test_id(f"template-workflow-{template}").click()
        self.page.get_by_role("dialog").wait_for(state="hidden")
        self.page.wait_for_function(LOADED, arg=len(nodes))

    def help_on(self, node_id: str) -> Locator:
        """Put a node on an empty canvas and press its info button; returns the help page."""
        self.page.evaluate(
            """node_id => {
                window.app.graph.clear();
                const node = LiteGraph.createNode(node_id);
                window.app.graph.add(node);
                window.app.canvas.ds.scale = 0.5; // also a tall node leaves room for its toolbar then
                window.app.canvas.centerOnNode(node);
                window.app.canvas.selectNode(node);
            }""",
            node_id,
        )
        self.page.get_by_test_id("info-button").click()
        return self.page.locator(".node-help-content")

    def search(self, words: str, until: str) -> list[str]:
        """Type words into the node search; returns the names it lists, once `until` is one of them or time is up."""
        box = self.page.locator("[id^=comfy-vue-node-search-box], [role=combobox][aria-controls=results-list]").first
        if not box.is_visible():
            self.page.evaluate("() => window.app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
        listed = self.page.get_by_role("option").filter(has_text=re.compile(r"\S"))
        wanted = listed.filter(has_text=until).first
        box.fill("nothing goes by this name")  # so that what is listed next was not listed for the words before
        wanted.wait_for(state="detached")
        box.fill(words)
        with contextlib.suppress(NotSeen):
            wanted.wait_for(timeout=LONGEST_SEARCH_MS)
        return [text.split("\n")[0].strip() for text in listed.all_inner_texts()]

    def messages(self) -> list[str]:
        """The dialogs and toasts on the screen."""
        return self.page.locator(MESSAGES).all_inner_texts()

    def press_run(self) -> None:
        """Press the button that queues the workflow."""
        button = self.page.get_by_test_id("queue-button")
        inner = button.get_by_role("button")  # newer frontends have the button itself under this name
        (inner.first if inner.count() else button.first).click()

    def run(self) -> dict[str, Any]:
        """Queue the workflow as a user does, and wait until it has run; returns the outputs by node id."""
        before = self._history()
        self.press_run()
        end = time.monotonic() + LONGEST_RUN
        while time.monotonic() < end:
            new = self._history().keys() - before.keys()
            if new:
                return self._history()[new.pop()]["outputs"]
            self.page.wait_for_timeout(200)
        raise TimeoutError(f"the workflow did not end within {LONGEST_RUN} s")

    def graph_picture(self, file: Path, scale: float = 0.8, margin: int = 24) -> None:
        """Save a picture of the whole graph and nothing around it, at `scale` pixels for a unit of the canvas."""
        left, top, right, bottom = self.page.evaluate(GRAPH_BOX)
        width, height = (round(length * scale) + 2 * margin for length in (right - left, bottom - top))
        # Room for the toolbars, which are cut off again.
        self.page.set_viewport_size({"width": width + 2 * TOOLBARS, "height": height + 2 * TOOLBARS})
        self.page.evaluate(
            """([left, top, scale, bars, margin]) => {
                const { ds, canvas } = window.app.canvas;
                const corner = canvas.getBoundingClientRect();
                ds.scale = scale;
                ds.offset = [(bars + margin - corner.left) / scale - left, (bars + margin - corner.top) / scale - top];
                window.app.canvas.setDirty(true, true);
            }""",
            [left, top, scale, TOOLBARS, margin],
        )
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_timeout(1500)
        self.page.screenshot(path=file, clip={"x": TOOLBARS, "y": TOOLBARS, "width": width, "height": height})

    def _history(self) -> dict[str, Any]:
        """What has run on the server so far, by prompt id."""
        return self.page.request.get(f"{self.url}/api/history").json()

    def _pack(self) -> str:
        """The folder name under which ComfyUI has installed this pack."""
        nodes = self.page.request.get(f"{self.url}/api/object_info/StrengthScheduler").json()
        return nodes["StrengthScheduler"]["python_module"].split(".")[1]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location['url']})")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._note(f"{response.status} {response.url}")

    def _note(self, problem: str) -> None:
        if f"/extensions/{self.pack}/" in problem and not TRANSLATED_HELP.search(problem):
            self.problems.append(problem)

"""A Dask cluster that is there already: workers in processes of their own, which may be on other machines."""

import json
import subprocess
import sys
import time

import pytest
from PIL import Image


@pytest.fixture
def scheduler(tmp_path):
    """The address of a Dask scheduler in a process of its own."""
    note = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(note)]
    start = "import sys; from distributed.cli.dask_scheduler import main; main(sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", start, *options], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not note.exists() or not note.read_text():
        assert time.monotonic() < end, "the scheduler did not start"
        time.sleep(0.05)
    yield json.loads(note.read_text())["address"]
    process.kill()
    process.wait()


def test_jobs_go_through_a_cluster_and_survive_its_workers(stand_ins, toy_prompt, tmp_path, command, scheduler):
    urls = stand_ins.start(2, 0.1)
    workers = [command("worker", "--scheduler", scheduler, "--on", url) for url in urls]
    for worker in workers:
        assert worker.stdout.readline().startswith(f"Working for {scheduler}")
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (2, 2)).save(folder / "a.png")
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps(toy_prompt | {"3": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}}))
    run = command(
        "run", workflow, "--scheduler", scheduler, "--folder", folder, "--out", tmp_path / "out", "--grid",
        f"seed={','.join(map(str, range(30)))}", "--json",
    )  # fmt: skip
    events = []
    for line in run.stdout:
        events.append(json.loads(line))
        if sum(event["event"] == "done" for event in events) == 6 and workers[0].poll() is None:
            workers[0].kill()
    assert run.wait(60) == 0, run.stderr.read()
    assert events[-1]["done"] == 30
    assert len(list((tmp_path / "out").glob("*.png"))) == 30
    assert all(len(stand_ins.tell(url)["uploads"]) == 1 for url in urls), "the picture traveled with its jobs"
    assert {event["server"] for event in events if event["event"] == "done"} == set(urls)
    assert workers[1].poll() is None, "it stays for the next run"


def test_a_wrong_address_of_a_scheduler_says_so(toy_prompt, tmp_path, command):
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps(toy_prompt))
    run = command("run", workflow, "--scheduler", "tcp://127.0.0.1:9", "--out", tmp_path / "out", "--wait", "1")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "There is no Dask scheduler at 'tcp://127.0.0.1:9'" in said

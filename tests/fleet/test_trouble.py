"""Servers that are late, cut off, nonsensical, full or gone: nothing is lost, nothing is doubled.

The servers are stand-ins; what their results must be is known from the prompts alone.
"""

import importlib.util
import json
import random
import signal
import sys
import threading
import time
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
import trustme
from img2img_studio import fleet
from img2img_studio.fleet.command import main
from img2img_studio.fleet.errors import FleetError, NoServerLeft, ServerTrouble
from img2img_studio.fleet.server import ComfyServer
from PIL import Image

spec = importlib.util.spec_from_file_location("standin", Path(__file__).with_name("standin.py"))
standin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(standin)


def lines(out):
    """The jobs that run.jsonl says are done, by name."""
    done = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    return [line for line in done if not line.get("error")]


def check_all_right(out, prompt, count):
    """Each job is there once, with the very picture it must be."""
    done = lines(out)
    assert sorted(line["name"] for line in done) == sorted(f"seed-{seed}" for seed in range(count))
    assert len({line["job"] for line in done}) == count
    files = sorted(path.name for path in out.iterdir() if path.name != "run.jsonl")
    assert files == sorted(f"seed-{seed}.png" for seed in range(count))
    for seed in range(count):
        expected = deepcopy(prompt)
        expected["1"]["inputs"]["seed"] = seed
        right = Image.open(BytesIO(standin.picture_of(expected))).tobytes()
        assert Image.open(out / f"seed-{seed}.png").tobytes() == right


def seeds(count):
    return {"seed": range(count)}


def test_chaos_leaves_every_job_right_and_there_once(stand_ins, toy_prompt, tmp_path):
    urls = stand_ins.start(8, 0.01, chaos=0.06, seed=1)
    summary = fleet.run(toy_prompt, tmp_path / "out", urls, grid=seeds(200))
    assert summary.failed == ()
    check_all_right(tmp_path / "out", toy_prompt, 200)
    seen = [stand_ins.tell(url) for url in urls]
    assert max(one["deepest"] for one in seen) <= 2
    assert sum(one["wrong"] for one in seen) > 20, "the stand-ins behaved too well for this test"
    assert sum(one["crashes"] for one in seen) > 0


@pytest.mark.parametrize("seed", range(10))
def test_one_server_killed_loses_nothing(stand_ins, toy_prompt, tmp_path, seed):
    urls = stand_ins.start(1, 0.03) + stand_ins.start(1, 0.03)
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps(toy_prompt))
    moment = random.Random(seed).randint(1, 10)

    def kill():
        wait_for_lines(tmp_path / "out", moment)
        stand_ins.kill(urls[seed % 2])

    killer = threading.Thread(target=kill)
    killer.start()
    arguments = ["run", workflow, "--on", *urls, "--out", tmp_path / "out", "--grid", seed_values(16), "--quiet"]
    assert main(list(map(str, arguments))) == 0
    killer.join()
    check_all_right(tmp_path / "out", toy_prompt, 16)


def test_all_servers_killed_stops_the_run_and_resume_does_the_rest(stand_ins, toy_prompt, tmp_path, command):
    urls = stand_ins.start(1, 0.03) + stand_ins.start(1, 0.03)
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps(toy_prompt))
    run = command(
        "run", workflow, "--on", *urls, "--out", tmp_path / "out", "--grid", seed_values(30), "--quiet", "--wait", "1"
    )
    wait_for_lines(tmp_path / "out", 8)
    for url in urls:
        stand_ins.kill(url)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 3
    assert "No server answers any more, for 1 s. What is done is kept" in said
    before = len(lines(tmp_path / "out"))
    assert 8 <= before < 30
    (fresh,) = stand_ins.start(1, 0.01)
    summary = fleet.run(toy_prompt, tmp_path / "out", [fresh], grid=seeds(30), resume=True)
    assert (summary.before, summary.done) == (before, 30 - before)
    assert stand_ins.tell(fresh)["ran"] == 30 - before
    check_all_right(tmp_path / "out", toy_prompt, 30)


def test_the_client_killed_and_resumed_does_only_what_is_missing(stand_ins, toy_prompt, tmp_path, command):
    urls = stand_ins.start(2, 0.03)
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps(toy_prompt))
    run = command("run", workflow, "--on", *urls, "--out", tmp_path / "out", "--grid", seed_values(30))
    wait_for_lines(tmp_path / "out", 8)
    run.kill()
    run.wait()
    summary = fleet.run(toy_prompt, tmp_path / "out", urls, grid=seeds(30), resume=True)
    assert summary.before >= 8
    assert summary.before + summary.done == 30
    assert sum(stand_ins.tell(url)["ran"] for url in urls) <= 30 + 4, "only what was under way may have run twice"
    assert max(stand_ins.tell(url)["deepest"] for url in urls) <= 2
    check_all_right(tmp_path / "out", toy_prompt, 30)


def test_ctrl_c_takes_everything_back(stand_ins, toy_prompt, tmp_path, command):
    (url,) = stand_ins.start(1, 20)
    workflow = tmp_path / "w.json"
    workflow.write_text(json.dumps(toy_prompt))
    run = command("run", workflow, "--on", url, "--out", tmp_path / "out", "--grid", "seed=1,2,3,4")
    wait_until(lambda: stand_ins.tell(url)["depth"] == 2)
    run.send_signal(signal.SIGINT if sys.platform != "win32" else signal.CTRL_C_EVENT)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "--resume goes on" in said
    seen = stand_ins.tell(url)
    assert (seen["depth"], seen["canceled"]) == (0, 1)


def test_a_lost_server_is_welcomed_back(stand_ins, toy_prompt, tmp_path):
    steady, flaky = stand_ins.start(1, 0.05) + stand_ins.start(1, 0.05, chaos=0.4, seed=5)
    calm = threading.Timer(1.5, lambda: stand_ins.tell(flaky, chaos=0))
    calm.start()
    summary = fleet.run(toy_prompt, tmp_path / "out", [steady, flaky], grid=seeds(80))
    calm.join()
    check_all_right(tmp_path / "out", toy_prompt, 80)
    assert summary.servers[flaky] > 0


def test_a_server_that_comes_late_takes_part(stand_ins, toy_prompt, tmp_path):
    (url,) = stand_ins.start(1, 0.02)
    (gone,) = stand_ins.start(1)
    stand_ins.kill(gone)
    summary = fleet.run(toy_prompt, tmp_path / "out", [gone, url], grid=seeds(10))
    assert summary.servers == {url: 10, gone: 0}


def test_an_error_in_the_graph_is_told_in_its_words_and_the_rest_goes_on(stand_ins, toy_prompt, tmp_path, capsys):
    good, bad = stand_ins.start(2, 0.01)
    stand_ins.tell(bad, error="CUDA out of memory")
    summary = fleet.run(toy_prompt, tmp_path / "out", [good, bad], grid=seeds(20), retries=2, show="lines")
    assert summary.failed == (), "another server can do it"
    assert "StandIn (node 1): CUDA out of memory" in capsys.readouterr().err
    stand_ins.tell(good, error="no such color")
    summary = fleet.run(toy_prompt, tmp_path / "worse", [good], grid=seeds(3), retries=1)
    assert summary.failed == tuple((f"seed-{seed}", "StandIn (node 1): no such color") for seed in range(3))
    assert stand_ins.tell(good)["ran"] >= 6


def test_a_full_disk_puts_a_server_aside_until_there_is_room(stand_ins, toy_prompt, tmp_path):
    good, full = stand_ins.start(2, 0.02)
    stand_ins.tell(full, error="[Errno 28] No space left on device: 'out.png'")
    summary = fleet.run(toy_prompt, tmp_path / "out", [good, full], grid=seeds(40), retries=0)
    assert summary.failed == ()
    assert summary.servers == {good: 40, full: 0}
    assert stand_ins.tell(full)["ran"] < 12, "it was asked again and again"


def test_a_server_without_the_model_takes_no_part(stand_ins, toy_prompt, tmp_path, capsys):
    good, poor = stand_ins.start(2, 0.01)
    info = deepcopy(standin.OBJECT_INFO)
    info["StandIn"]["input"]["required"]["model"] = [["other"], {}]
    stand_ins.tell(poor, object_info=info)
    summary = fleet.run(toy_prompt, tmp_path / "out", [poor, good], grid=seeds(10), show="lines")
    assert summary.servers == {good: 10}
    assert f"{poor} takes no part: it lacks 'toy' for model of StandIn" in capsys.readouterr().err
    with pytest.raises(FleetError, match=r"No server can run this workflow: .* lacks 'toy' for model of StandIn"):
        fleet.run(toy_prompt, tmp_path / "none", [poor], grid=seeds(10))


def test_a_workflow_that_saves_nothing_stops_at_once(stand_ins, toy_prompt, tmp_path):
    (url,) = stand_ins.start(1, 0.01)
    shows = toy_prompt | {"2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    with pytest.raises(FleetError, match="saves nothing: it has no Save Image node, only PreviewImage"):
        fleet.run(shows, tmp_path / "out", [url])
    stand_ins.tell(url, **{"saves nothing": True})
    with pytest.raises(FleetError, match=r"ran on .* and saved nothing"):
        fleet.run(toy_prompt, tmp_path / "other", [url])


def test_no_server_at_all_says_so(toy_prompt, tmp_path):
    with pytest.raises(FleetError, match=r"No ComfyUI answers within 1 s: http://127.0.0.1:9\."):
        fleet.run(toy_prompt, tmp_path / "out", ["127.0.0.1:9"], wait=1)
    with pytest.raises(FleetError, match="Say where to run"):
        fleet.run(toy_prompt, tmp_path / "out")
    assert issubclass(NoServerLeft, FleetError)


def test_each_picture_goes_up_once_and_a_broken_one_stops_nothing(stand_ins, toy_prompt, tmp_path):
    urls = stand_ins.start(2, 0.01)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (2, 2), (len(name), ord(name), 0)).save(folder / f"{name}.png")
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG")
    prompt = toy_prompt | {"3": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}}
    summary = fleet.run(prompt, tmp_path / "out", urls, folder=folder, grid=seeds(4))
    assert len(summary.failed) == 4
    assert all("broken.png' cannot be read as a picture" in words for _, words in summary.failed)
    assert summary.done == 16
    uploads = [stand_ins.tell(url)["uploads"] for url in urls]
    assert all(len(set(one)) == len(one) for one in uploads)
    assert sum(stand_ins.tell(url)["ran"] for url in urls) == 12, "the copy needs no run of its own"
    assert (tmp_path / "out" / "copy_seed-1.png").read_bytes() == (tmp_path / "out" / "a_seed-1.png").read_bytes()


@pytest.mark.parametrize("refuse", [False, True])
def test_servers_that_differ_are_named_and_can_be_refused(stand_ins, toy_prompt, tmp_path, capsys, refuse):
    first, odd, third = stand_ins.start(3, 0.01)
    stand_ins.tell(odd, **{"other bits": True, "torch": "2.4.0"})
    summary = fleet.run(
        toy_prompt, tmp_path / "out", [first, odd, third], grid=seeds(20), verify=2, refuse=refuse, show="lines"
    )
    assert summary.bits == {first: "A", odd: "B", third: "A"}
    said = capsys.readouterr().err
    assert f"Bits B: {odd}" in said
    assert f"torch differs: 2.11.0 on {', '.join(sorted([first, third]))}; 2.4.0 on {odd}" in said
    letters = {line["bits"] for line in lines(tmp_path / "out")}
    assert letters == ({"A"} if refuse else {"A", "B"})
    assert len(lines(tmp_path / "out")) == 20


def test_who_asks_can_be_said(stand_ins, toy_prompt, tmp_path, monkeypatch):
    (url,) = stand_ins.start(1, 0.01)
    stand_ins.tell(url, authorization="Bearer secret")
    with pytest.raises(FleetError, match="No ComfyUI answers"):
        fleet.run(toy_prompt, tmp_path / "out", [url], wait=1)
    monkeypatch.setenv("FLEET_AUTHORIZATION", "Bearer secret")
    assert fleet.run(toy_prompt, tmp_path / "out", [url]).done == 1
    assert "secret" not in (tmp_path / "out" / "run.jsonl").read_text()


def test_https_with_a_certificate_of_ones_own(stand_ins, toy_prompt, tmp_path, monkeypatch, capsys):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    (url,) = stand_ins.start(1, 0.01, certificate=[tmp_path / "server.pem"])
    assert url.startswith("https://")
    with pytest.raises(ServerTrouble, match=r"certificate verify failed.*REQUESTS_CA_BUNDLE"):
        ComfyServer(url).versions()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    assert fleet.run(toy_prompt, tmp_path / "out", [url], grid=seeds(3)).done == 3


def test_json_tells_programs_everything(stand_ins, toy_prompt, tmp_path, capsys):
    (url,) = stand_ins.start(1, 0.01)
    fleet.run(toy_prompt, tmp_path / "out", [url], grid=seeds(3), show="json")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1]) == ("server", "end")
    assert [event["files"] for event in events if event["event"] == "done"] != []
    assert events[-1] == {"event": "end", "done": 3, "before": 0, "failed": 0, "total": 3}


def seed_values(count):
    return f"seed={','.join(map(str, range(count)))}"


def wait_for_lines(out, count):
    wait_until(lambda: (out / "run.jsonl").exists() and len((out / "run.jsonl").read_bytes().splitlines()) >= count)


def wait_until(is_so, longest=30):
    end = time.monotonic() + longest
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)

"""Is a frame drawn as it was worked out by hand, and is the file what viewers of the trace event format expect?

The format: "Trace Event Format", Google, docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
"""

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import OutputError, SimulationError
from dcsim.report.timeline import write_timeline
from dcsim.simulation.frame import ACTIONS, RESOURCES
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from dcsim.simulation.timeline import Timeline
from dcsim.traces.synthetic import synthesize
from dcsim.traces.trace import Trace
from tests.builders import STREAM_DECODER, chip, coded, linear, network, shipped_chip, table_network

NS = 1000  # ps
ONE = network(linear("fc", 32, 32))
FAST = {"dram.bandwidth_bytes_per_s": 8e9}  # a tile of 1 KiB in 128 ns; see test_replay.py
SHIPPED = synthesize(
    table_network({"n_inputs": 3000, "n_outputs": 4000}, {"n_inputs": 4000, "n_outputs": 900}), "huffman"
)


def timeline_of(trace: Trace, changes: dict[str, Any]) -> Timeline:
    timeline = simulate(trace, chip(changes), 1000).timeline
    assert timeline is not None
    return timeline


def slices(timeline: Timeline, resource: str) -> list[tuple[str, int, int, int]]:
    """(action, tile, start, end in ns) of one resource."""
    rows = zip(timeline.resource, timeline.action, timeline.tile, timeline.start_ps, timeline.end_ps, strict=True)
    return [
        (ACTIONS[action], int(tile), int(start_ps) // NS, int(end_ps) // NS)
        for place, action, tile, start_ps, end_ps in rows
        if RESOURCES[place] == resource
    ]


# --- slices --------------------------------------------------------------------------------------------------------


def test_fetches_and_work_are_where_the_schedule_has_them() -> None:
    # fetch  |1 |2 |     |3 |    |4 |       128 ns each; the third waits for the first buffer, free at 384
    # array     |1    |2    |3    |4    |   256 ns each, from 128 on
    timeline = timeline_of(ONE, FAST)
    assert slices(timeline, "dram") == [
        *[("fetch", 0, 0, 128), ("fetch", 1, 128, 256), ("fetch", 2, 384, 512), ("fetch", 3, 640, 768)]
    ]
    assert slices(timeline, "array") == [("compute", n, 128 + 256 * n, 384 + 256 * n) for n in range(4)]
    assert slices(timeline, "decoder") == []  # dense fp32 is not decoded


def test_a_slice_has_the_bytes_and_the_energy_of_its_tile() -> None:
    timeline = timeline_of(ONE, FAST)
    frame = timeline.frame()
    fetches = frame[(frame["resource"] == "dram") & (frame["action"] == "fetch")]
    assert fetches["n_bytes"].tolist() == [1024] * 4
    assert fetches["energy_pj"].tolist() == [256 * 640.0] * 4  # of 32 bits each
    work = frame[frame["resource"] == "array"]
    assert work["energy_pj"].tolist() == pytest.approx([256 * 4.6] * 4)
    assert set(frame["layer"]) == {"fc"}


def test_an_sram_without_a_port_time_has_instants() -> None:
    timeline = timeline_of(ONE, FAST)
    port = [row for row in slices(timeline, "sram") if row[0] == "fetch"]
    assert port == [("fetch", n, start, start) for n, start in enumerate((0, 128, 384, 640))]


def test_a_tile_is_fetched_decoded_computed_and_written_back() -> None:
    huffman = linear("fc", 64, 64, encoding="huffman", blocks=coded(4096, 5, 4))
    timeline = timeline_of(network(huffman), {**FAST, "decoder": STREAM_DECODER, "sram.capacity_kib": 5})
    first = {ACTIONS[action] for action in timeline.action[timeline.tile == 0]}
    assert first == {"fetch", "decode", "compute", "write back"}


def test_outputs_that_do_not_stay_are_spilled() -> None:
    timeline = timeline_of(network(linear("a", 16, 16, m=64)), FAST)
    assert [row for row in slices(timeline, "dram") if row[0] == "spill"] != []
    spilled = (timeline.action == ACTIONS.index("spill")) & (timeline.resource == RESOURCES.index("dram"))
    assert timeline.n_bytes[spilled].sum() == 4096


def test_what_the_sram_holds_follows_the_layers() -> None:
    # two buffers of 1 KiB; input and outputs of 128 bytes each stay, an input until its layer is written back
    timeline = timeline_of(network(linear("a", 32, 32), linear("b", 32, 32, producers=(0,))), FAST)
    assert timeline.occupancy.values.tolist() == [2048 + held for held in (128, 256, 128, 256, 0)]
    assert timeline.sram_capacity_bytes == 4096


def test_power_is_the_energy_of_slices_over_their_time() -> None:
    # while nothing but the first fetch goes on: 256 accesses of 640 pJ in 128 ns; instants of the SRAM are spread
    timeline = timeline_of(ONE, {**FAST, "sram.write_pj_per_access": 0.0, "sram.read_pj_per_access": 0.0})
    power = timeline.power_watts()
    assert power.time_ps[:2].tolist() == [0, 128 * NS]
    assert power.values[0] == pytest.approx(256 * 640 / (128 * NS))
    assert power.values[1] == pytest.approx(256 * 640 / (128 * NS) + 256 * 4.6 / (256 * NS))


def test_bandwidth_is_that_of_the_channel_while_it_moves() -> None:
    bandwidth = timeline_of(ONE, FAST).dram_bytes_per_s()
    assert bandwidth.time_ps.tolist() == [0, 128 * NS, 256 * NS, 384 * NS, 512 * NS, 640 * NS, 768 * NS]
    assert bandwidth.values.tolist() == pytest.approx([8e9, 8e9, 0, 8e9, 0, 8e9, 0])


def test_what_moves_at_once_is_spread_over_the_frame() -> None:
    timeline = timeline_of(ONE, {})  # unlimited bandwidth
    assert timeline.dram_bytes_per_s().values.tolist() == pytest.approx([4096 / (timeline.service_ps / 1e12)])


def test_a_timeline_does_not_make_results_differ() -> None:
    results = [simulate(ONE, chip(FAST), 1000) for _ in range(2)]
    assert results[0].timeline is not results[1].timeline
    assert results[0] == results[1]


def test_the_analytic_engine_has_no_timeline(tmp_path: Path) -> None:
    result = simulate(ONE, chip(FAST), 1000, engine="analytic")
    assert result.timeline is None
    with pytest.raises(SimulationError, match="replay with the event engine"):
        write_timeline(result, tmp_path / "frame.json")
    assert list(tmp_path.iterdir()) == []


# --- the file ------------------------------------------------------------------------------------------------------


def broken_rules(content: dict[str, Any]) -> list[str]:
    """What in a file is against the format."""
    faults = []
    if content.get("displayTimeUnit") not in ("ms", "ns"):
        faults.append("displayTimeUnit is ms or ns")
    events, tracks = content["traceEvents"], defaultdict(list)
    needed = {
        "M": {"name", "pid", "args"},
        "X": {"name", "pid", "tid", "ts", "dur"},
        "C": {"name", "pid", "ts", "args"},
    }
    for event in events:
        missing = needed.get(event.get("ph"), {"a known ph"}) - event.keys()
        if missing:
            faults.append(f"no {', '.join(sorted(missing))}")
            continue
        if not all(type(event[key]) is int for key in ("pid", "tid") if key in event):
            faults.append("pid and tid are whole numbers")
        if not all(event[key] >= 0 for key in ("ts", "dur") if key in event):
            faults.append("ts and dur are not negative")
        if event["ph"] == "C" and not all(type(value) in (int, float) for value in event["args"].values()):
            faults.append("counters are numbers")
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append(event)
    phases = [event.get("ph") for event in events]
    if "M" in phases[phases.count("M") :]:
        faults.append("metadata comes first")
    argument = {"process_name": "name", "thread_name": "name", "thread_sort_index": "sort_index"}
    metadata = [event for event in events if event.get("ph") == "M"]
    faults += [f"{e['name']} is no metadata" for e in metadata if argument.get(e["name"]) not in e["args"]]
    named = {(e["pid"], e.get("tid")) for e in metadata if e["name"] == "thread_name"}
    faults += [f"track {track} has no name" for track in tracks if track not in named]
    for own in tracks.values():  # slices of a track are apart, or one within the other
        ordered = sorted(own, key=lambda event: (event["ts"], -event["dur"]))
        open_until: list[float] = []
        for event in ordered:
            end = round(event["ts"] + event["dur"], 6)
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            if open_until and end > open_until[-1]:
                faults.append(f"{event['name']} leaves the slice around it")
            open_until.append(end)
    return faults


def written_trace(result: RunResult, folder: Path) -> dict[str, Any]:
    write_timeline(result, folder / "frame.json")
    content: dict[str, Any] = json.loads((folder / "frame.json").read_text())
    return content


@pytest.fixture(scope="module")
def result() -> RunResult:
    return simulate(SHIPPED, "mobile45", 20)


@pytest.mark.parametrize("soc", ["mobile45", "paper45", "eie64", "phone7nm"])
def test_the_file_keeps_the_rules_of_the_format(soc: str, tmp_path: Path) -> None:
    assert broken_rules(written_trace(simulate(SHIPPED, soc, 20), tmp_path)) == []


@pytest.mark.parametrize(
    ("place", "change", "fault"),
    [
        (0, {"name": "proces_name"}, "proces_name is no metadata"),
        (-1, {"ph": "M"}, "metadata comes first"),
        (9, {"tid": "1"}, "pid and tid are whole numbers"),
        (9, {"tid": 77}, "track (1, 77) has no name"),
        (9, {"ts": -1.0}, "ts and dur are not negative"),
        (9, {"ph": "B!"}, "no a known ph"),
        (-1, {"args": {"W": "much"}}, "counters are numbers"),
    ],
)
def test_the_rules_catch(place: int, change: dict[str, Any], fault: str, result: RunResult, tmp_path: Path) -> None:
    content = written_trace(result, tmp_path)
    content["traceEvents"][place] |= change
    assert any(fault in found for found in broken_rules(content))


def test_the_rules_catch_slices_that_overlap(result: RunResult, tmp_path: Path) -> None:
    content = written_trace(result, tmp_path)
    first, second = [event for event in content["traceEvents"] if event["ph"] == "X" and event["tid"] == 4][:2]
    first["dur"] = second["ts"] + second["dur"] / 2 - first["ts"]
    assert broken_rules(content) == ["compute fc0 leaves the slice around it"]


def test_every_slice_of_the_frame_is_in_the_file_to_the_picosecond(result: RunResult, tmp_path: Path) -> None:
    timeline = result.timeline
    assert timeline is not None
    events = [event for event in written_trace(result, tmp_path)["traceEvents"] if event["ph"] == "X"]
    assert [round(event["ts"] * 1e6) for event in events] == timeline.start_ps.tolist()
    assert [round(event["dur"] * 1e6) for event in events] == (timeline.end_ps - timeline.start_ps).tolist()
    assert [event["args"]["bytes"] for event in events] == timeline.n_bytes.tolist()
    assert [event["args"]["pJ"] for event in events] == pytest.approx(timeline.energy_pj.tolist())
    assert [event["args"]["tile"] for event in events] == timeline.tile.tolist()
    assert [event["tid"] for event in events] == (timeline.resource + 1).tolist()
    assert events[0]["name"] == "fetch fc0"


def test_counters_of_the_file_say_what_the_ledger_says(tmp_path: Path) -> None:
    result = simulate(SHIPPED, "mobile45", 1e6)  # frames follow each other without a pause
    counters = defaultdict(list)
    for event in written_trace(result, tmp_path)["traceEvents"]:
        if event["ph"] == "C":
            counters[event["name"]].append((event["ts"], *event["args"].values()))
    joules = sum(watts * (after - at) for (at, watts), (after, _) in pairwise(counters["power [W]"])) / 1e6
    assert joules == pytest.approx(result.energy_pj_per_frame / 1e12, rel=1e-6)
    moved = counters["DRAM bandwidth [bytes/s]"]
    n_bytes = sum(rate * (after - at) for (at, rate), (after, _) in pairwise(moved)) / 1e6
    assert n_bytes == pytest.approx(result.dram_bytes_per_frame, rel=1e-6)
    assert max(held for _, held in counters["SRAM occupancy [bytes]"]) == result.peak_sram_bytes
    assert all(np.diff([at for at, *_ in rows]).min() >= 0 for rows in counters.values())


def test_the_file_says_where_it_comes_from(result: RunResult, tmp_path: Path) -> None:
    content = written_trace(result, tmp_path)
    about = content["otherData"]
    assert {key: about[key] for key in ("soc", "variant", "synthetic")} == {
        **{"soc": "mobile45", "variant": "huffman", "synthetic": True}
    }
    assert about["service_ps"] == result.service_ps
    names = [event["args"]["name"] for event in content["traceEvents"] if event["name"] == "thread_name"]
    assert names == ["DRAM channels", "SRAM port", "decoder", "array"]


def test_the_same_frame_gives_the_same_bytes(result: RunResult, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        write_timeline(result, tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_names_of_layers_may_hold_any_character(tmp_path: Path) -> None:
    result = simulate(network(linear('a "b" \\ c\n', 32, 32)), chip(FAST), 1000)
    content = written_trace(result, tmp_path)
    assert content["traceEvents"][-1]["ph"] == "C"
    assert {event["args"]["layer"] for event in content["traceEvents"] if event["ph"] == "X"} == {'a "b" \\ c\n'}


def test_a_file_that_cannot_be_written_is_said(result: RunResult, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        write_timeline(result, tmp_path)


def test_a_dram_that_is_not_needed_sleeps_through_the_frame() -> None:
    soc = shipped_chip("mobile45", {"sram.capacity_kib": 4096})  # weights stay
    timeline = simulate(SHIPPED, soc, 20).timeline
    assert timeline is not None
    assert len(timeline.static.values) == 1

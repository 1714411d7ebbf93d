"""Is a placement that is given the one that is run, is what cannot be refused, and what if there is no DRAM?

On the plain chip, 4 KiB of SRAM of which two 1 KiB buffers take half. TWO has weights of 1 KiB and activations of 1 KiB
between all layers, so 6 KiB hold everything.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcsim.config import parse_spec
from dcsim.errors import ConfigError, SimulationError
from dcsim.simulation.placement import load_placement, place, save
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import FixedPlacement, SocSpec, load_soc
from dcsim.traces.trace import Trace
from tests.builders import PLAIN, STREAM_DECODER, chip, coded, elementwise, linear, network
from tests.conftest import Dcsim

NS = 1000  # ps
TWO = network(linear("a", 16, 16, m=16), linear("b", 16, 16, m=16, producers=(0,)))
FAST = {"dram.bandwidth_bytes_per_s": 8e9}  # 1 KiB in 128 ns


def names(*, weights: tuple[str, ...] = (), activations: tuple[str, ...] = ()) -> FixedPlacement:
    return FixedPlacement(weights=weights, activations=activations)


def given(placement: FixedPlacement, trace: Trace = TWO, **changes: Any) -> RunResult:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return simulate(trace, chip(FAST | dotted), 1000, placement=placement)


def refused(placement: FixedPlacement, trace: Trace = TWO, **changes: Any) -> str:
    with pytest.raises(SimulationError) as caught:
        given(placement, trace, **changes)
    return str(caught.value)


def without_reasons(result: RunResult) -> RunResult:
    return replace(result, layers=tuple(replace(layer, why_weights="", why_output="") for layer in result.layers))


# --- what is given is what is run ----------------------------------------------------------------------------------


def test_dcsim_would_choose_activations_here() -> None:
    assert simulate(TWO, chip(FAST), 1000).placement == names(activations=("(input)", "a", "b"))


def test_nothing_in_sram() -> None:
    # a and b: 1 KiB of weights, 1 KiB in and 1 KiB out each
    result = given(names())
    assert (result.dram_bytes_per_frame, result.resident_bytes, result.peak_sram_bytes) == (6144, 0, 3072)
    assert result.placement == names()
    assert [(layer.weights_resident, layer.output_spilled) for layer in result.layers] == [(False, True)] * 2
    assert [(layer.dram_read_bytes, layer.dram_write_bytes) for layer in result.layers] == [(2048, 1024)] * 2


def test_weights_that_are_named_stay_and_are_loaded_in_the_cold_frame_only() -> None:
    # 128 ns for each KiB: a cold frame loads a's weights too; a spilled input is beside weights, one pass
    result = given(names(weights=("a",)))
    assert (result.dram_bytes_per_frame, result.resident_bytes) == (5120, 1024)
    assert [layer.weights_resident for layer in result.layers] == [True, False]
    assert result.cold_service_ps - result.service_ps == 128 * NS


def test_the_networks_input_has_a_name_of_its_own() -> None:
    result = given(names(activations=("(input)",)))
    assert [layer.dram_read_bytes for layer in result.layers] == [1024, 2048]
    assert result.dram_bytes_per_frame == 6144 - 1024
    assert result.placement == names(activations=("(input)",))


def test_an_output_that_is_named_is_neither_written_nor_read() -> None:
    result = given(names(activations=("a",)))
    assert [(layer.dram_read_bytes, layer.dram_write_bytes) for layer in result.layers] == [(2048, 0), (1024, 1024)]


def test_everything_in_sram_moves_nothing() -> None:
    everything = names(weights=("a", "b"), activations=("(input)", "a", "b"))
    result = given(everything, sram__capacity_kib=6)
    assert (result.dram_bytes_per_frame, result.peak_sram_bytes) == (0, 6144)
    assert not [row for row in result.ledger if row.component == "dram"]
    assert result == replace(simulate(TWO, chip(FAST | {"sram.capacity_kib": 6}), 1000), layers=result.layers)


def test_the_order_and_number_of_names_say_nothing() -> None:
    once = given(names(weights=("a",), activations=("(input)", "a")), sram__capacity_kib=6)
    assert given(names(weights=("a", "a"), activations=("a", "(input)", "a")), sram__capacity_kib=6) == once


def test_what_is_given_to_a_run_goes_before_what_the_chip_says() -> None:
    soc = chip(FAST | {"placement": names(weights=("a",))})
    assert simulate(TWO, soc, 1000).placement == names(weights=("a",))
    assert simulate(TWO, soc, 1000, placement=names(weights=("b",))).placement == names(weights=("b",))
    assert simulate(TWO, soc, 1000, placement=names()).placement == names()


def test_a_placement_in_a_chips_file_is_the_one_that_is_run() -> None:
    wanted = {"weights": ["b"], "activations": ["(input)"]}
    soc = parse_spec(SocSpec, yaml.safe_dump(PLAIN | {"placement": wanted}), "own.yaml")
    result = simulate(TWO, soc, 1000)
    assert result.placement == names(weights=("b",), activations=("(input)",))
    assert result == simulate(TWO, chip(), 1000, placement=result.placement)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"weights": ["a"]}, "placement.activations: required key is missing"),
        ({"weights": ["a"], "activations": [], "weight": []}, "placement.weight: unknown key; did you mean weights?"),
        ({"weights": "a", "activations": []}, "placement.weights: expected "),
        ({"weights": [1], "activations": []}, "placement.weights.0: expected "),
    ],
)
def test_a_placement_that_says_too_little_or_something_else_is_refused_with_its_line(
    wanted: dict[str, Any], message: str
) -> None:
    text = yaml.safe_dump(PLAIN | {"placement": wanted}, sort_keys=False)
    with pytest.raises(ConfigError) as caught:
        parse_spec(SocSpec, text, "own.yaml")
    assert message in str(caught.value)
    line = int(str(caught.value).split(":")[1])
    assert line >= text.splitlines().index("placement:") + 1


@pytest.mark.parametrize("engine", ["event", "analytic"])
def test_both_engines_run_what_is_given(engine: Any) -> None:
    result = simulate(TWO, chip(FAST), 1000, placement=names(weights=("b",)), engine=engine)
    assert (result.placement, result.dram_bytes_per_frame) == (names(weights=("b",)), 5120)


# --- a round trip --------------------------------------------------------------------------------------------------

TIED = network(
    linear("first", 16, 16),
    replace(linear("second", 16, 16, producers=(0,)), stored_bytes=0, weights_of=0),
    linear("third", 16, 16, producers=(1,)),
)
PACKED = network(
    linear("a", 32, 32, m=7, encoding="huffman", blocks=coded(700, 3, 4)),
    elementwise("pool", 224, 56, producers=(0,)),
    linear("b", 8, 40, m=7, producers=(1,), encoding="shared", blocks=coded(200, 4, 4)),
    elementwise("add", 504, 280, producers=(2, 0)),
)


@pytest.mark.parametrize("trace", [TWO, TIED, PACKED], ids=["dense", "tied", "packed"])
@pytest.mark.parametrize("capacity_kib", [4, 5, 6, 7, 40])
@pytest.mark.parametrize("engine", ["event", "analytic"])
def test_what_dcsim_chose_gives_the_same_result_when_it_is_given(
    trace: Trace, capacity_kib: int, engine: Any, tmp_path: Path
) -> None:
    soc = chip(FAST | {"sram.capacity_kib": capacity_kib, "decoder": STREAM_DECODER})
    chosen = simulate(trace, soc, 1000, engine=engine)
    save(chosen.placement, tmp_path / "placement.yaml")
    again = simulate(trace, soc, 1000, placement=load_placement(tmp_path / "placement.yaml"), engine=engine)
    assert without_reasons(again) == without_reasons(chosen)


def test_a_saved_placement_is_yaml_that_a_chip_can_hold(tmp_path: Path) -> None:
    placement = names(weights=("a", "b"), activations=("(input)",))
    save(placement, tmp_path / "placement.yaml")
    text = (tmp_path / "placement.yaml").read_text()
    assert text == "weights:\n- a\n- b\nactivations:\n- (input)\n"
    chip_text = yaml.safe_dump(PLAIN) + "placement:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    assert parse_spec(SocSpec, chip_text, "own.yaml").placement == placement


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights: [a]\n", "placement.yaml:1: activations: required key is missing"),
        (
            "weights: []\nactivations: [a]\nweihgts: []\n",
            "placement.yaml:3: weihgts: unknown key; did you mean weights?",
        ),
        ("", "placement.yaml:1: expected a mapping of keys, found nothing"),
    ],
)
def test_a_placement_file_that_is_none_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "placement.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_placement(path)
    assert message in str(caught.value)


def test_the_command_line_saves_a_placement_and_takes_it_again(dcsim: Dcsim, tmp_path: Path) -> None:
    TWO.save(tmp_path / "two.parquet")
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(PLAIN | {"sram": PLAIN["sram"] | {"capacity_kib": 5}}))
    first = dcsim(
        *("simulate", "two.parquet", "--soc", "own.yaml", "--save-placement", "p.yaml", "--layers", "--json", "1.json")
    )
    assert first.returncode == 0, first.stderr
    assert load_placement(tmp_path / "p.yaml") == names(weights=("a",), activations=("(input)", "a", "b"))
    for reason in ("fits beside buffers and activations", "1,024 bytes, 0 left", "fits while it is needed"):
        assert reason in first.stdout
    second = dcsim(
        *("simulate", "two.parquet", "--soc", "own.yaml", "--placement", "p.yaml", "--layers", "--json", "2.json")
    )
    assert second.returncode == 0, second.stderr
    assert "given" in second.stdout
    found = [(tmp_path / f"{n}.json").read_text() for n in (1, 2)]
    assert found[0] == found[1]


def test_the_command_line_says_which_name_a_network_does_not_have(dcsim: Dcsim, tmp_path: Path) -> None:
    TWO.save(tmp_path / "two.parquet")
    (tmp_path / "p.yaml").write_text("weights: [bb]\nactivations: []\n")
    done = dcsim("simulate", "two.parquet", "--placement", "p.yaml", "--save-placement", "q.yaml")
    assert done.returncode == 2
    assert "placement: toy has no layer 'bb'; did you mean b?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "q.yaml").exists()


# --- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (names(weights=("A",)), "placement: toy has no layer 'A'; known: (input), a, b"),
        (names(activations=("bb",)), "placement: toy has no layer 'bb'; did you mean b?"),
        (names(activations=("input",)), "placement: toy has no layer 'input'; did you mean (input)?"),
        (
            names(
                weights=("a", ""),
            ),
            "placement: toy has no layer ''; known: (input), a, b",
        ),
    ],
)
def test_a_name_that_the_network_does_not_have_is_refused_with_one_it_has(
    placement: FixedPlacement, message: str
) -> None:
    assert refused(placement) == message


def test_the_networks_input_has_no_weights_to_keep() -> None:
    assert "(input)" in refused(names(weights=("(input)",)))
    assert "(input)" in refused(names(weights=("(input)",)), network(*TIED.layers[:2]))


def test_weights_that_do_not_fit_are_refused_with_the_bytes() -> None:
    # 2 KiB of buffers, 2 KiB of activations at a time, and 2 KiB of weights
    everything = names(weights=("a", "b"), activations=("(input)", "a", "b"))
    message = refused(everything, sram__capacity_kib=5)
    assert message == "placement: what it names does not fit: at some layer the SRAM would hold 6,144 bytes of 5,120"


def test_activations_that_do_not_fit_are_refused_with_the_bytes() -> None:
    # in 3 KiB the input and b's output take turns, a's output does not fit beside either
    message = refused(names(activations=("(input)", "a", "b")), sram__capacity_kib=3)
    assert "does not fit" in message
    assert "of 3,072" in message
    assert "1 activation" in message
    assert given(names(activations=("(input)", "b")), sram__capacity_kib=3).dram_bytes_per_frame == 4096


def test_exactly_as_much_as_there_is_fits() -> None:
    assert given(names(weights=("a", "b"))).resident_bytes == 2048
    assert "4,100 bytes of 4,096" in refused(names(weights=("a",)), network(linear("a", 513, 1)))


def test_tied_weights_stay_together_whichever_is_named() -> None:
    for name in ("first", "second"):
        result = given(names(weights=(name,)), TIED)
        assert result.placement.weights == ("first", "second")
        assert result.resident_bytes == 1024  # once
    assert given(names(weights=("third",)), TIED).placement.weights == ("third",)
    assert given(names(weights=("first", "second", "third")), TIED).resident_bytes == 2048


# --- why -----------------------------------------------------------------------------------------------------------


def reasons(result: RunResult) -> list[tuple[str, str]]:
    return [(layer.why_weights, layer.why_output) for layer in result.layers]


def test_a_result_says_why_data_lie_where_they_lie() -> None:
    # 5 KiB: two activations at a time and one layer's weights; 3 KiB: two that take turns
    fits, resident = "fits while it is needed", "fits beside buffers and activations"
    assert reasons(simulate(TWO, chip({"sram.capacity_kib": 5}), 1000)) == [
        (resident, fits),
        ("1,024 bytes, 0 left", fits),
    ]
    assert reasons(simulate(TWO, chip({"sram.capacity_kib": 3}), 1000)) == [
        ("1,024 bytes, 0 left", "1,024 bytes do not fit while it is needed"),
        ("1,024 bytes, 0 left", fits),
    ]


def test_bytes_left_are_those_beside_weights_that_stay() -> None:
    # activations of 64 bytes: 1920 bytes are left for weights, of which the small layer takes 1152
    trace = network(linear("large", 16, 32), linear("small", 32, 9, producers=(0,)))
    assert [why for why, _ in reasons(simulate(trace, chip(), 1000))][:1] == ["2,048 bytes, 704 left"]


def test_what_is_given_says_so_and_what_has_no_weights_says_nothing() -> None:
    assert reasons(given(names(activations=("a",)))) == [("given", "given")] * 2
    pooled = network(linear("a", 16, 16, m=16), elementwise("pool", 256, 64, producers=(0,)))
    assert [why for why, _ in reasons(given(names(activations=("a",)), pooled))] == ["given", ""]


# --- SRAM that is off between frames -------------------------------------------------------------------------------


def test_sram_that_is_off_between_frames_keeps_no_weights() -> None:
    on, off = (simulate(TWO, chip({"sram.capacity_kib": 6, "idle.sram": idle}), 1000) for idle in ("on", "off"))
    assert (on.resident_bytes, off.resident_bytes) == (2048, 0)
    assert off.placement == names(activations=("(input)", "a", "b"))
    assert (on.dram_bytes_per_frame, off.dram_bytes_per_frame) == (0, 2048)
    assert off.cold_service_ps == off.service_ps
    assert {why for why, _ in reasons(off)} == {"SRAM is off between frames"}


def test_sram_that_is_off_between_frames_cannot_be_told_to_keep_weights() -> None:
    assert "off" in refused(names(weights=("a",)), idle__sram="off")


def test_sram_that_retains_keeps_weights() -> None:
    changes = {"sram.capacity_kib": 6, "idle.sram": "retain", "sram.retention_leakage_ratio": 0.1}
    assert simulate(TWO, chip(changes), 1000).resident_bytes == 2048


# --- no DRAM -------------------------------------------------------------------------------------------------------

NO_DRAM: dict[str, Any] = {"dram": {"kind": "none"}}


def test_without_dram_a_network_that_fits_runs_and_the_dram_costs_nothing() -> None:
    result = simulate(TWO, chip(NO_DRAM | {"sram.capacity_kib": 6}), 1000)
    assert {name: pj for name, pj in result.energy_pj_by_component.items() if "dram" in name} == {
        "dram": 0,
        "dram_io": 0,
        "dram_background": 0,
    }
    assert not [row for row in result.ledger if "dram" in row.component]
    assert (result.dram_bytes_per_frame, result.service_ps) == (0, 8192 * NS)
    assert result.placement == names(weights=("a", "b"), activations=("(input)", "a", "b"))
    # reads: a weight and an activation a MAC; writes: 2 x 256 outputs
    assert result.energy_pj_by_component["sram"] == 2 * 8192 * 5.0 + 512 * 6.0


@pytest.mark.parametrize(("capacity_kib", "n_bytes"), [(5, "1,024"), (4, "2,048"), (3, "4,096"), (2, "6,144")], ids=str)
def test_without_dram_what_does_not_fit_is_refused_with_the_bytes(capacity_kib: int, n_bytes: str) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate(TWO, chip(NO_DRAM | {"sram.capacity_kib": capacity_kib}), 1000)
    assert str(caught.value) == (
        f"toy, dense: plain has no DRAM and {n_bytes} bytes a frame do not fit its SRAM; choose a smaller variant with "
        "--variant, raise sram.capacity_kib or lower tiles"
    )


def test_without_dram_compressed_weights_fit_where_dense_ones_do_not() -> None:
    dense = network(linear("a", 32, 32))
    packed = network(linear("a", 32, 32, encoding="huffman", blocks=coded(1024, 2, 2)))  # 256 + 256 bytes
    soc = chip(NO_DRAM | {"sram.capacity_kib": 5})
    with pytest.raises(SimulationError, match="4,096 bytes a frame do not fit"):
        simulate(dense, soc, 1000)
    assert simulate(packed, soc, 1000).resident_bytes == 512


def test_without_dram_a_given_placement_must_name_everything() -> None:
    soc = chip(NO_DRAM | {"sram.capacity_kib": 6})
    everything = names(weights=("a", "b"), activations=("(input)", "a", "b"))
    assert simulate(TWO, soc, 1000, placement=everything).dram_bytes_per_frame == 0
    with pytest.raises(SimulationError, match="has no DRAM and 1,024 bytes a frame"):
        simulate(TWO, soc, 1000, placement=names(weights=("a",), activations=("(input)", "a", "b")))


def test_without_dram_weights_are_there_from_the_start() -> None:
    # nowhere to load them from: the first frame is like any other, also where loading would pass a slow SRAM port
    sram = {"kind": "cacti45", "capacity_kib": 8, "access_width_bits": 32, "cell": "low-operating-power", "n_banks": 1}
    for changes in ({"sram.capacity_kib": 6}, {"sram": sram}):
        result = simulate(TWO, chip(NO_DRAM | changes), 1000)
        assert result.cold_service_ps == result.service_ps


def test_without_dram_what_is_kept_from_frame_to_frame_has_no_place() -> None:
    keeps = network(replace(linear("keep", 16, 16), n_state_outputs=16))
    with pytest.raises(SimulationError, match="has no DRAM and 64 bytes a frame"):
        simulate(keeps, chip(NO_DRAM | {"sram.capacity_kib": 64}), 1000)


def test_the_microcontroller_runs_what_fits_it() -> None:
    soc = load_soc("mcu")
    assert simulate(TWO, soc, 20).resident_bytes == 2048
    with pytest.raises(SimulationError, match=r"mcu has no DRAM and 1,048,576 bytes a frame do not fit its SRAM"):
        simulate(network(linear("a", 512, 512)), soc, 20)


@pytest.mark.parametrize("dram", [PLAIN["dram"], NO_DRAM["dram"]], ids=["DRAM", "no DRAM"])
@pytest.mark.parametrize("placement", [None, names()], ids=["chosen", "given"])
def test_sram_that_does_not_hold_its_buffers_is_refused_first(dram: Any, placement: FixedPlacement | None) -> None:
    with pytest.raises(SimulationError, match=r"plain: the working buffers take 2048 bytes, the SRAM has 1024; lower "):
        simulate(TWO, chip({"sram.capacity_kib": 1, "dram": dram}), 1000, placement=placement)


def test_a_placement_does_not_outlive_its_run() -> None:
    soc = chip(FAST)
    before = place(TWO, soc)
    simulate(TWO, soc, 1000, placement=names())
    assert (soc.placement, place(TWO, soc)) == (None, before)

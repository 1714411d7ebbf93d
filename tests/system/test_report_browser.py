"""Does a report work for whoever opens it: from disk, offline, with a mouse, a keyboard, a phone, a printer?"""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
INSISTS = os.environ.get("DCSIM_REQUIRE_BROWSER") == "1"
SCREENSHOTS = Path(os.environ.get("DCSIM_CI_OUTPUT") or ROOT / "ci-output")

if not CHROMIUM and not INSISTS:
    pytest.skip("no chromium found ($CHROMIUM or on the path): the browser tests did not run", allow_module_level=True)

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402 - only where there is a browser

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
SMALL_ERROR = 1e-9  # of sums in another order


def dcsim(folder: Path, *arguments: object) -> str:
    """Run `python -m dcsim` in a folder; over budget, or without evidence, it has an answer too."""
    command = [sys.executable, "-m", "dcsim", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=280, check=False)
    assert done.returncode in (0, 1) or "evidence is missing" in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three chips: currents of a datasheet, energies of a paper, and several runs in one page."""
    path = tmp_path_factory.mktemp("report")
    dcsim(path, "run", "lenet-300-100", "--soc", "mobile45", "--budget", "phone", "-o", "mobile")
    dcsim(path, "run", "alexnet", "--soc", "phone7nm", "--fps", 30, "--budget", "phone", "-o", "phone")
    dcsim(path, "run", "one-billion", "--soc", "paper45", "--fps", 20, "-o", "paper")
    (path / "strict.yaml").write_text(
        "{name: strict, limits: {test_error: 0.01}, sources: {limits: 'assumption: a test'}}"
    )
    dcsim(path, "run", "one-billion", "--soc", "paper45", "--budget", "strict.yaml", "-o", "strict")
    for name in ("mobile", "phone", "paper", "strict"):
        dcsim(path, "report", name, "-o", f"{name}.html")
    dcsim(path, "report", "mobile", "phone", "paper", "-o", "three.html")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "these tests have to run here, and there is no chromium: `make browser`"
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=options)
        yield started
        started.close()


class Opened:
    """A page from disk, and all that it said or asked the network for."""

    def __init__(self, browser: Browser, path: Path, width: int = 1280, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(5000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-drawn]")


@pytest.fixture
def open_page(browser: Browser, folder: Path) -> Iterator[Any]:
    opened: list[Opened] = []

    def open_(name: str, width: int = 1280, **options: Any) -> Opened:
        opened.append(Opened(browser, folder / f"{name}.html", width, **options))
        return opened[-1]

    yield open_
    for each in opened:
        each.context.close()


def result(page: Page) -> dict[str, Any]:
    """What the page has worked out for the chosen variant."""
    found: dict[str, Any] = page.evaluate(
        """() => { const run = window.dcsim.runs[0], found = run.whatif.result(run.chosen);
        return {...found, byComponent: found.byComponent, rows: undefined, exact: run.whatif.marks(run.chosen).length === 0,
                sustainable_fps: Number.isFinite(found.sustainable_fps) ? found.sustainable_fps : null}; }"""
    )
    return found


def offered(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.evaluate("() => window.dcsim.runs[0].offered()")
    return found


def open_all(page: Page) -> None:
    """Open what is folded."""
    page.evaluate("() => document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")


def turn(page: Page, label: str, value: float) -> None:
    """Type a number, as a person would, into the field with that label."""
    open_all(page)
    page.get_by_label(label, exact=False).and_(page.locator("input[type=number]")).first.fill(str(value))


def simulated(folder: Path, page: Page) -> dict[str, Any]:
    """The same from the command line, with the YAML and the command that the page offers."""
    given = offered(page)
    (folder / "edited.yaml").write_text(given["yaml"])
    words = given["command"].split()
    assert words[0] == "dcsim"
    document = json.loads(dcsim(folder, *words[1:], "--json", "-"))
    (variant,) = document["variants"]
    return dict(variant)


def same_as_simulated(folder: Path, page: Page) -> None:
    found, expected = result(page), simulated(folder, page)
    assert found["exact"]
    assert found["average_power_watts"] == pytest.approx(expected["average_power_watts"], rel=SMALL_ERROR)
    assert found["energy_pj_per_frame"] == pytest.approx(expected["energy_pj_per_frame"], rel=SMALL_ERROR)
    assert found["latency_s"] == expected["latency_s"]
    assert found["deadline_misses"] == expected["deadline_misses"]
    for component, pj in expected["energy_pj_by_component"].items():
        assert found["byComponent"][component] == pytest.approx(pj, rel=SMALL_ERROR, abs=1e-9)


@pytest.mark.parametrize("name", ["mobile", "phone", "paper", "three"])
def test_a_page_opens_from_disk_in_silence_and_asks_for_nothing(open_page: Any, folder: Path, name: str) -> None:
    opened = open_page(name)
    assert opened.said == []
    assert opened.asked == [(folder / f"{name}.html").as_uri()]
    assert (folder / f"{name}.html").stat().st_size < 3_000_000
    assert opened.page.locator("[data-chart] svg").count() == 7 * (3 if name == "three" else 1) + (name == "three")


def test_the_same_folder_gives_the_same_page(folder: Path) -> None:
    dcsim(folder, "report", "mobile", "-o", "again.html")
    assert (folder / "again.html").read_bytes() == (folder / "mobile.html").read_bytes()


@pytest.mark.parametrize("name", ["mobile", "phone", "paper"])
def test_untouched_the_page_says_what_was_simulated_to_the_last_bit(open_page: Any, folder: Path, name: str) -> None:
    page = open_page(name).page
    run = json.loads((folder / name / "run.json").read_text())["run"]
    for place, stored in enumerate(run["variants"]):
        page.locator(".variants label").nth(place).click()
        ledger = stored["result"]["ledger"]
        assert result(page)["energy_pj_per_frame"] == sum(row["count"] * row["pj_each"] for row in ledger)
        checks = stored["verdict"]["checks"] if stored["verdict"] else []
        shown = {check["name"]: check for check in result(page)["checks"]}
        for check in checks:
            assert shown[check["name"]]["status"] == check["status"]
            assert shown[check["name"]]["headroom"] == pytest.approx(check["headroom"], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("mobile", {"dram.currents.idd6_ma": 1.1, "sram.leakage_mw": 1.75, "always_on_mw": 0.4}),
        ("mobile", {"sram.read_pj_per_access": 11, "array.pj_per_mac": 0.9, "fps": 900, "decoder.pj_per_symbol": 4}),
        ("mobile", {"fps": 5000}),
        ("phone", {"dram.currents.vdd_volts": 0.8, "dram.currents.idd4r_ma": 300, "dram.io_pj_per_bit": 0.7}),
        ("phone", {"supply": 0.6, "logic.clock_mw": 55, "sram.retention_leakage_ratio": 0.25, "fps": 61.5}),
        ("paper", {"dram.pj_per_access": 320, "sram.read_pj_per_access": 2.5, "fps": 77.7}),
    ],
)
def test_numbers_turned_give_what_a_simulation_with_the_offered_yaml_gives(
    open_page: Any, folder: Path, name: str, turns: dict[str, float]
) -> None:
    page = open_page(name).page
    before = result(page)["average_power_watts"]
    for label, value in turns.items():
        turn(page, label, value)
    assert result(page)["average_power_watts"] != before
    same_as_simulated(folder, page)


@pytest.mark.parametrize(
    ("part", "option"), [("Logic", "run"), ("Logic", "power_gate"), ("SRAM", "on"), ("SRAM", "retain")]
)
def test_idle_policies_that_take_no_time_give_what_a_simulation_gives(
    open_page: Any, folder: Path, part: str, option: str
) -> None:
    page = open_page("phone").page
    page.get_by_label(part, exact=True).select_option(option)
    turn(page, "logic.leakage_mw", 12)
    same_as_simulated(folder, page)


@pytest.mark.parametrize("option", ["standby", "power_down"])
def test_another_sleep_of_the_dram_is_marked_and_near_a_simulation(open_page: Any, folder: Path, option: str) -> None:
    page = open_page("phone").page
    page.get_by_label("DRAM", exact=True).select_option(option)
    found, expected = result(page), simulated(folder, page)
    assert not found["exact"]
    page.get_by_text("Waking the DRAM from").wait_for()
    assert found["average_power_watts"] == pytest.approx(expected["average_power_watts"], rel=1e-3)


def test_an_sram_that_is_off_is_marked_where_weights_stay_in_it(open_page: Any, folder: Path) -> None:
    page = open_page("mobile").page
    page.get_by_label("SRAM", exact=True).select_option("off")
    assert not result(page)["exact"]
    page.get_by_text("loses the weights").wait_for()
    assert simulated(folder, page)["dram_bytes_per_frame"] > 0


def test_another_clock_is_marked_as_estimated_and_near_a_simulation(open_page: Any, folder: Path) -> None:
    page = open_page("mobile").page
    page.get_by_label("operating point").select_option(label="190 MHz at 0.6 V")
    found, expected = result(page), simulated(folder, page)
    assert not found["exact"]
    page.get_by_text("Times at another clock are estimated").wait_for()
    assert found["latency_s"] == pytest.approx(expected["latency_s"], rel=0.02)
    assert found["average_power_watts"] == pytest.approx(expected["average_power_watts"], rel=0.01)
    assert expected["clock_hz"] == 190e6


def test_every_variant_is_offered_with_its_own_placement(open_page: Any, folder: Path) -> None:
    page = open_page("mobile").page
    page.get_by_text("dense", exact=True).first.click()
    turn(page, "dram.currents.idd4r_ma", 150)
    same_as_simulated(folder, page)
    assert "dense.parquet" in offered(page)["command"]


def test_the_diff_that_is_offered_makes_the_yaml_that_is_offered(open_page: Any, folder: Path) -> None:
    page = open_page("phone").page
    for label, value in {"dram.currents.idd6_ma": 1.5, "supply": 0.7, "array.pj_per_mac": 0.2}.items():
        turn(page, label, value)
    given = offered(page)
    lines, at, made = (folder / "phone" / "soc.yaml").read_text().splitlines(), 0, []
    for hunk in re.split(r"^@@ ", given["diff"], flags=re.M)[1:]:
        head, *changes = hunk.splitlines()
        found = re.match(r"-(\d+),(\d+) \+(\d+),(\d+) @@", head)
        assert found
        first, n_old, new_first, n_new = map(int, found.groups())
        old, new = ([line[1:] for line in changes if line[0] == sign] for sign in "-+")
        assert (len(old), len(new)) == (n_old, n_new)
        assert lines[first - 1 : first - 1 + n_old] == old
        made += lines[at : first - 1]
        assert len(made) == new_first - 1
        made += new
        at = first - 1 + n_old
    assert made + lines[at:] == given["yaml"].splitlines()


def test_numbers_that_the_file_would_refuse_are_named(open_page: Any) -> None:
    page = open_page("mobile").page
    turn(page, "dram.currents.idd4r_ma", 1)
    page.get_by_text("idd4r_ma must not be below idd3n_ma").wait_for()
    assert not page.get_by_text("Exact:").is_visible()


def test_the_verdict_flips_where_the_command_line_says_it_does(open_page: Any, folder: Path) -> None:
    """3 W of the phone's budget are paid by what never sleeps: 3000 mW less the rest of the chip."""
    page = open_page("mobile").page
    rest_watts = result(page)["average_power_watts"] - 0.001
    verdict = page.locator(".verdict")
    for always_on_mw, status, words in ((2999.9, "ok", "Fits phone"), (3000.1, "over", "Over phone")):
        turn(page, "always_on_mw", round(always_on_mw - 1000 * rest_watts, 6))
        page.wait_for_function(f"document.querySelector('.verdict').dataset.status === '{status}'")
        assert words in verdict.inner_text()
        (folder / "edited.yaml").write_text(offered(page)["yaml"])
        told = json.loads(
            dcsim(
                folder,
                *("check", "mobile/huffman.parquet", "--soc", "edited.yaml", "--fps", 20, "--budget", "phone"),
                *("--json", "-"),
            )
        )
        assert told["status"] == status
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("document.querySelector('.verdict').dataset.status === 'ok'")


def test_a_rate_that_the_chip_does_not_sustain_is_over(open_page: Any) -> None:
    page = open_page("mobile").page
    turn(page, "fps", 1e4)
    page.wait_for_function("document.querySelector('.verdict').dataset.status === 'over'")
    page.get_by_text("frames queue without bound").first.wait_for()


def test_without_a_budget_the_page_says_so(open_page: Any) -> None:
    assert "No budget" in open_page("paper").page.locator(".verdict").inner_text()


def test_evidence_that_is_missing_is_said_and_stays_missing(open_page: Any) -> None:
    page = open_page("strict").page
    assert "Evidence is missing" in page.locator(".verdict").inner_text()
    assert "the test error was not measured" in page.locator(".because").inner_text()
    turn(page, "dram.pj_per_access", 1)
    page.get_by_text("what if, not what was simulated").wait_for()
    assert "Evidence is missing" in page.locator(".verdict").inner_text()


def test_tables_sort_by_mouse_and_keyboard_and_say_so(open_page: Any) -> None:
    page = open_page("phone").page
    table = page.locator('[data-table="layers"]')

    def column(place: int) -> list[str]:
        return table.locator(f"tbody tr > :nth-child({place})").all_inner_texts()

    unsorted = column(1)
    head = table.locator("th", has_text="stored")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    stored = page.evaluate("() => window.dcsim.runs[0].chosen.layers.map(l => l.stored_bytes).sort((a, b) => a - b)")
    assert table.locator("tbody tr").count() == len(stored)
    assert column(1)[-1] == "fc6"
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(1)[0] == "fc6"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")  # the column before
    assert head.get_attribute("aria-sort") is None
    assert sorted(column(1)) == sorted(unsorted)


def test_tables_copy_as_csv_with_plain_numbers(open_page: Any, folder: Path) -> None:
    opened = open_page("mobile", permissions=["clipboard-read", "clipboard-write"])
    page = opened.page
    page.get_by_text("Show all rows").click()
    page.locator('[data-table="ledger"] .copy').click()
    page.locator('[data-table="ledger"] .copy', has_text="Copied").wait_for()
    rows = list(csv.DictReader(io.StringIO(page.evaluate("navigator.clipboard.readText()"))))
    ledger = json.loads((folder / "mobile" / "run.json").read_text())["run"]["variants"][-1]["result"]["ledger"]
    assert [(row["layer"], row["component"], row["action"], int(row["count"])) for row in rows] == [
        (row["layer"], row["component"], row["action"], row["count"]) for row in ledger
    ]
    assert [float(row["energy_pj"]) for row in rows] == [row["count"] * row["pj_each"] for row in ledger]


def test_sliders_answer_to_the_keyboard_and_announce_the_watts(open_page: Any) -> None:
    page = open_page("mobile").page
    slider = page.get_by_label("fps, slider")
    slider.focus()
    before = result(page)["average_power_watts"]
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    assert result(page)["average_power_watts"] > before
    assert float(page.get_by_label("fps", exact=True).input_value()) > 20
    assert slider.get_attribute("aria-valuetext") == f"{page.get_by_label('fps', exact=True).input_value()}"
    status = page.get_by_role("status")
    assert status.get_attribute("aria-live") == "polite"
    page.wait_for_function("document.querySelector('[role=status]').innerText.includes('%')")
    assert "W" in status.inner_text()


def test_every_control_has_a_name_and_tab_reaches_it(open_page: Any) -> None:
    page = open_page("phone").page
    open_all(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button")].filter((control) =>
        !(control.labels?.length || control.getAttribute("aria-label") || control.textContent.trim())).map(c => c.outerHTML)"""
    )
    assert nameless == []
    seen = set()
    for _ in range(300):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    ids = page.evaluate(
        "() => [...document.querySelectorAll('.whatif input[type=number], .whatif select')].map(c => c.id)"
    )
    assert set(ids) <= seen


def test_charts_say_what_they_show(open_page: Any) -> None:
    page = open_page("mobile").page
    labels = page.evaluate(
        "() => [...document.querySelectorAll('[data-chart] svg')].map(s => s.closest('[aria-label]')?.ariaLabel ?? s.querySelector('[aria-label]')?.ariaLabel)"
    )
    assert all(labels)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["mobile", "phone", "three"])
def test_nothing_overflows_in_light_and_dark_and_pictures_are_kept(
    open_page: Any, name: str, scheme: str, width: int
) -> None:
    page = open_page(name, width, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    back, front = page.evaluate(
        "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    dark = [sum(map(int, re.findall(r"\d+", colour)[:3])) < 380 for colour in (back, front)]
    assert dark == [scheme == "dark", scheme == "light"]
    text = page.locator("[data-chart] svg text").first
    assert text.evaluate("(text) => getComputedStyle(text).fill") != back
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report-{name}-{width}-{scheme}.png", full_page=True)


def test_a_printed_page_is_light_and_leaves_out_what_cannot_be_pressed(open_page: Any) -> None:
    page = open_page("phone", color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".whatif").is_visible()
    assert not page.locator(".copy").first.is_visible()
    assert page.locator("[data-chart] svg").first.is_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    assert page.pdf(path=SCREENSHOTS / "report-phone.pdf", format="A4").startswith(b"%PDF")


def test_several_runs_are_compared_on_top_and_play_apart(open_page: Any) -> None:
    page = open_page("three").page
    rows = page.locator('[data-table="compared"] tbody tr')
    assert [row.split("\t")[0] for row in rows.all_inner_texts()] == ["mobile", "phone", "paper"]
    page.locator("#run-2 .whatif").get_by_label("fps", exact=True).fill("60")
    first, second = page.evaluate("() => window.dcsim.runs.map(run => run.whatif.changed)")[:2]
    assert (first, second) == (False, True)

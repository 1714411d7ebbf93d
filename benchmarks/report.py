"""How long a report takes to make, to open and to answer: `python -m benchmarks.report`, with Chromium at hand.

AlexNet in four variants. Made: the whole process, wall clock, without and with the drawing scripts in the cache.
Opened: headless, from disk, until every chart is drawn. Answered: from a slider's event until the page has laid out and
painted, both energy charts included. The least of a few runs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

N_RUNS = 5
N_TURNS = 30
AIMS = {"made": 3.0, "opened": 1.0, "answered": 0.05}
#: from an event of the slider until the frame after it is painted: a message is handled after the paint
ANSWER = """
(places) => new Promise(async (resolve) => {
  const slider = document.querySelector('.whatif input[type=range]');
  const run = window.dcsim.runs[0], times = [];
  for (let place = 0; place < places; place++) {
    await new Promise(requestAnimationFrame);
    const start = performance.now();
    slider.value = 300 + 10 * place;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
    await run.drawn;
    await new Promise((painted) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = painted;
      requestAnimationFrame(() => channel.port2.postMessage(0));
    });
    times.push(performance.now() - start);
  }
  resolve(times);
})
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dcsim(folder, "run", "alexnet", "--soc", "phone7nm", "--fps", "30", "--budget", "phone", "-o", "run")
        fresh_s = made_s(folder)
        cached_s = min(made_s(folder) for _ in range(N_RUNS))
        page = folder / "report.html"
        print(f"made in {cached_s:.2f} s, {fresh_s:.2f} s the first time (aim {AIMS['made']:g})")
        print(f"{page.stat().st_size / 1e6:.2f} MB (aim 3)")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            opened_s = []
            for _ in range(N_RUNS):
                tab = browser.new_page()
                opened_s.append(opening_s(tab, page))
                tab.close()
            print(f"opened in {min(opened_s):.2f} s (aim {AIMS['opened']:g})")
            tab = browser.new_page()
            opening_s(tab, page)
            answered_s = sorted(ms / 1000 for ms in tab.evaluate(ANSWER, N_TURNS))
            middle_s, last_s = answered_s[N_TURNS // 2], answered_s[-1]
            print(f"a slider answered in {1000 * middle_s:.0f} ms, {1000 * last_s:.0f} ms at most (aim 50)")
            browser.close()


def chromium() -> str | None:
    """Where Chromium is."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def dcsim(folder: Path, *arguments: str) -> None:
    """Run the command line as a user would, with an empty cache of its own."""
    environment = os.environ | {"DCSIM_CACHE": str(folder / "cache")}
    subprocess.run(
        [sys.executable, "-m", "dcsim", *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
    )


def made_s(folder: Path) -> float:
    """Wall clock of `dcsim report`."""
    start = time.perf_counter()
    dcsim(folder, "report", "run", "-o", "report.html")
    return time.perf_counter() - start


def opening_s(tab: Page, page: Path) -> float:
    """From asking for the page until its charts are drawn."""
    start = time.perf_counter()
    tab.goto(page.as_uri())
    tab.wait_for_selector("body[data-drawn]")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

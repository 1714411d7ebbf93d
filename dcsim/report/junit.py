"""Verdicts as JUnit XML, which continuous integration shows as tests.

A suite per variant, a case per check. Of the variant that decides, over is a failure and evidence that is missing an
error; other variants cannot fail, so theirs are skipped. A warning is written to the suite's standard output. Keeps the
rules of both schemas in use: that of Ant (windyroad/JUnit-Schema) and Jenkins's junit-10.xsd.
"""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dcsim.report.checks import finding, sentence

if TYPE_CHECKING:
    from dcsim.explore.checks import Check, Status
    from dcsim.run import RunReport

DECIDING: "dict[Status, str]" = {"over": "failure", "missing": "error"}
OTHERS: "dict[Status, str]" = {"over": "skipped", "missing": "skipped"}
KINDS: "dict[Status, str]" = {"over": "over budget", "missing": "missing evidence"}


def junit(report: "RunReport", now: datetime | None = None) -> bytes:
    """All verdicts of a report as an XML document.

    Args:
        now: when it was checked; this moment if not said.
    """
    root = ET.Element("testsuites")
    stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S")
    for number, (result, verdict) in enumerate(zip(report.results, report.verdicts, strict=True)):
        if verdict:
            tags = DECIDING if result.variant == report.gate else OTHERS
            about = {"package": "dcsim", "id": str(number), "timestamp": stamp, "hostname": "localhost", "time": "0"}
            suite = ET.SubElement(root, "testsuite", {"name": f"{report.network}.{result.variant}"} | about)
            conditions = {"budget": verdict.budget, "soc": report.soc, "fps": f"{report.fps:g}"}
            _fill(suite, conditions, verdict.checks, tags)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _fill(
    suite: ET.Element, conditions: dict[str, str], checks: "tuple[Check, ...]", tags: "dict[Status, str]"
) -> None:
    found = [tags[check.status] for check in checks if check.status in tags]
    suite.set("tests", str(len(checks)))
    for tag, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(plural, str(found.count(tag)))
    properties = ET.SubElement(suite, "properties")
    for key, value in conditions.items():
        ET.SubElement(properties, "property", {"name": key, "value": value})
    for check in checks:
        case = ET.SubElement(suite, "testcase", {"name": check.name, "classname": suite.attrib["name"], "time": "0"})
        if check.status in tags:
            problem = {"message": finding(check), "type": KINDS[check.status]}
            ET.SubElement(case, tags[check.status], problem).text = sentence(check)
    ET.SubElement(suite, "system-out").text = "\n".join(sentence(check) for check in checks if check.status == "warn")
    ET.SubElement(suite, "system-err")

"""What the manual takes from the code when it is built: commands from the command line, keys from the schemas."""

import io
import json
import re

import typer
from rich.console import Console

import dcsim.cli  # noqa: F401 - registers the commands
from dcsim.cli.app import app as command_line
from dcsim.report.schemas import schema
from dcsim.report.validation import print_validation, summary_line
from dcsim.validation.registry import TABLES

MARKER = re.compile(r"^<!-- generated: (\w+)(?: (\w+))? -->$", re.MULTILINE)
#: words that end a key, and the units that they mean
UNITS = {
    "pj": "pJ",
    "ps": "ps",
    "s": "s",
    "cycles": "cycles",
    "hz": "Hz",
    "bits": "bits",
    "bytes": "bytes",
    "kib": "KiB",
    "mib": "MiB",
    "mw": "mW",
    "watts": "W",
    "ma": "mA",
    "mah": "mAh",
    "volts": "V",
    "hours": "h",
    "fps": "1/s",
    "pixels": "pixels",
}
WIDTH = 110  # of printed tables, in characters
BOUNDS = {"exclusiveMinimum": "> ", "minimum": ">= ", "exclusiveMaximum": "< ", "maximum": "<= "}


def replace_markers(app, docname, source):
    """Put what the code knows in the place of each marker of a page."""
    makers = {"commands": commands, "keys": keys, "validation": validation}
    source[0] = MARKER.sub(lambda found: makers[found[1]](*filter(None, [found[2]])), source[0])


# --- the command line ------------------------------------------------------------------------------------------------


def commands():
    """Every command with its arguments and options, in the order of --help."""
    return "\n".join(_command(name, command) for name, command in _leaves(typer.main.get_command(command_line)))


def _leaves(group, before=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _command(name, command):
    context = typer.Context(command)
    records = [parameter.get_help_record(context) for parameter in command.params if parameter.name != "help"]
    rows = [f"| `{cell(left)}` | {cell(text)} |" for left, text in records]
    table = "\n".join(["| argument or option | meaning |", "|---|---|", *rows]) if rows else ""
    return f"## dcsim {name}\n\n{' '.join((command.help or '').split())}\n\n{table}\n"


def cell(text):
    """Text in a table of Markdown."""
    return text.replace("|", r"\|")


# --- keys of YAML files ----------------------------------------------------------------------------------------------


def keys(kind):
    """Tables of all keys of a kind of file, part by part."""
    whole = schema(kind)
    return "\n".join(_part(path, part) for path, part in _parts("", whole, whole.get("$defs", {})))


def _parts(path, part, definitions):
    """(path in the file, schema) of a mapping and of all mappings in it, each once."""
    yield path, part
    for key, about in part.get("properties", {}).items():
        for suffix, reference in _references(about):
            inner = definitions[reference.rsplit("/", 1)[-1]]
            yield from _parts(f"{path}.{key}{suffix}" if path else key + suffix, inner, definitions)


def _references(about, suffix=""):
    """(what follows the key in a path, reference) of every mapping that a key may hold."""
    if "$ref" in about:
        yield suffix, about["$ref"]
    for choice in about.get("anyOf", about.get("oneOf", [])):
        yield from _references(choice, suffix)
    if "items" in about:
        yield from _references(about["items"], f"{suffix}[]")
    if isinstance(about.get("additionalProperties"), dict):
        yield from _references(about["additionalProperties"], f"{suffix}.NAME")


def _part(path, part):
    properties, needed = part.get("properties", {}), part.get("required", [])
    kind = properties.get("kind", {}).get("const")
    title = f"`{path}`" if path else "The file"
    title += f", `kind: {kind}`" if kind and path else ""
    lines = [f"## {title}", "", part["description"], ""]
    lines += ["| key | type | unit | default | range | meaning |", "|---|---|---|---|---|---|"]
    for key, about in properties.items():
        default = "required" if key in needed else _default(about)
        bounds = ", ".join(dict.fromkeys(_bounds(about)))
        row = [f"`{key}`", _type(about), _unit(key), default, bounds, about["description"]]
        lines.append("| " + " | ".join(cell(each) for each in row) + " |")
    return "\n".join([*lines, ""])


def _default(about):
    """A default as YAML has it; what is empty unless said needs no word."""
    value = about["default"]
    return "" if value in ("", [], {}) else f"`{json.dumps(value)}`".replace('"', "")


def _type(about):
    """A type in words, as it stands in the file."""
    if "const" in about:
        return f"`{about['const']}`"
    if "enum" in about:
        return ", ".join(f"`{each}`" for each in about["enum"])
    choices = about.get("anyOf", about.get("oneOf"))
    if choices:
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices))
    if "$ref" in about:
        return "mapping"
    if about["type"] == "array":
        inner = about.get("items", about.get("prefixItems", [{}])[0])
        return f"list of {_type(inner)}" if "prefixItems" not in about else f"list of {len(about['prefixItems'])}"
    if about["type"] == "object":
        inner = about.get("additionalProperties")
        return f"mapping of names to {_type(inner)}" if isinstance(inner, dict) else "mapping"
    return {"string": "text", "integer": "whole number", "boolean": "`true`, `false`"}.get(about["type"], about["type"])


def _unit(key):
    """The unit that the words of a key end in; what comes after `per` is what it is counted by."""
    head, _, counted = key.partition("_per_")
    unit = UNITS.get(head.rsplit("_", 1)[-1]) if "_" in head or head in ("pj", "volts", "fps") else None
    if not unit:
        return f"per {counted.replace('_', ' ')}" if counted else ""
    return f"{unit} per {counted.replace('_', ' ')}" if counted else unit


def _bounds(about):
    for word, sign in BOUNDS.items():
        if word in about:
            yield f"{sign}{about[word]:g}"
    if about.get("minItems") or about.get("minLength"):
        yield "not empty"
    for choice in about.get("anyOf", []):
        yield from _bounds(choice)


# --- validation ------------------------------------------------------------------------------------------------------


def validation():
    """What `dcsim validate` prints, table by table."""
    parts, rows = [], []
    for name, table in TABLES.items():
        found = table()
        rows += found
        shown = io.StringIO()
        print_validation(Console(file=shown, width=WIDTH, color_system=None), found)
        lines = "\n".join(line.rstrip() for line in shown.getvalue().splitlines())
        parts.append(f"## dcsim validate {name}\n\n```text\n{lines}\n```\n")
    return "\n".join([f"{summary_line(rows)}.\n", *parts])

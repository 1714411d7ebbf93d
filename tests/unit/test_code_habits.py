"""Does the code keep its own rules: one unit per sum, conversions in units.py alone, small files with honest names?"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dcsim

PACKAGE = Path(dcsim.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 350
FORBIDDEN_NAMES = {"utils", "helpers", "common"}
SUFFIXES = {"pj", "ps", "ns", "s", "cycles", "hz", "bits", "bytes", "kib", "mib", "mw", "watts", "ma"}
DECIMAL_FACTORS = {10.0**exponent for exponent in (-15, -12, -9, -6, -3, 3, 6, 9, 12, 15)}
BINARY_FACTORS = {1024.0, 1024.0**2, 1024.0**3}
ALWAYS_REFUSED = {1e-12, 1e12, 1e-9, 1e9}
SI_PREFIXES = ("report/tables.py", "PREFIXES")  # a table of display prefixes, not of conversions

Rule = Callable[[ast.AST], Iterator[tuple[int, str]]]


def unit(node: ast.expr) -> str | None:
    """The unit a name, attribute, element, call or sum carries in its suffix: `ps`, `bytes per s`, or None."""
    if isinstance(node, ast.Name | ast.Attribute):
        return unit_of_word(node.id if isinstance(node, ast.Name) else node.attr)
    if isinstance(node, ast.Call):
        return unit(node.func)
    if isinstance(node, ast.Subscript):
        return unit(node.value)
    if isinstance(node, ast.UnaryOp):
        return unit(node.operand)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        return unit(node.left) or unit(node.right)
    return None


def unit_of_word(word: str) -> str | None:
    words = word.lower().split("_")
    if "by" in words:  # energy_pj_by_component
        words = words[: words.index("by")]
    if "per" in words:  # bandwidth_bytes_per_s
        at = words.index("per")
        return f"{words[at - 1]} per {' '.join(words[at + 1 :])}" if set(words[at - 1 : at]) & SUFFIXES else None
    return words[-1] if len(words) > 1 and words[-1] in SUFFIXES else None


def mixed_units(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Sums, differences, comparisons and plain assignments between different units."""
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            pairs = [(node.left, node.right)]
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.Compare):
            pairs = list(zip([node.left, *node.comparators], node.comparators, strict=False))
        elif isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        for left, right in pairs:
            if unit(left) and unit(right) and unit(left) != unit(right):
                yield node.lineno, f"{unit(left)} meets {unit(right)}: {ast.unparse(node)}"
        if isinstance(node, ast.Call):
            for word in node.keywords:
                passed, expected = unit(word.value), unit_of_word(word.arg or "")
                if passed and expected and passed != expected:
                    yield node.lineno, f"{passed} is passed as {word.arg}"


def conversion_factors(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Powers of ten and of 1024 that scale something, and 1e12, 1e-9 and the like wherever they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value in ALWAYS_REFUSED:
            yield node.lineno, f"literal {node.value!r}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and number(node.left) in (10, 1024):
            yield node.lineno, f"power {ast.unparse(node)}"
        for factor in scaled_by(node):
            if number(factor) in DECIMAL_FACTORS | BINARY_FACTORS:
                yield node.lineno, f"scaling by {ast.unparse(factor)}"


def eights(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Bits and bytes converted by hand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and any(number(factor) == 8 for factor in scaled_by(node)):
            units = {unit(node.left), unit(node.right)}
            if units & {"bits", "bytes"}:
                yield node.lineno, ast.unparse(node)


def scaled_by(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv):
        return [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value]
    return []


def number(node: ast.expr) -> float | None:
    plain = isinstance(node, ast.Constant) and type(node.value) in (int, float)
    return float(node.value) if plain else None  # type: ignore[attr-defined]  # plain says it is a constant


def violations(rule: Rule, source: str, module: str) -> list[str]:
    tree = ast.parse(source)
    if module == SI_PREFIXES[0]:
        tree.body = [node for node in tree.body if not assigns(node, SI_PREFIXES[1])]
    return [f"dcsim/{module}:{line}: {what}" for line, what in rule(tree)]


def assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]


def violations_outside_units(rule: Rule) -> list[str]:
    modules = [path for path in MODULES if path.name != "units.py"]
    return [v for path in modules for v in violations(rule, path.read_text(), path.relative_to(PACKAGE).as_posix())]


@pytest.mark.parametrize("rule", [mixed_units, conversion_factors, eights])
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    assert violations_outside_units(rule) == []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (mixed_units, "a_ps + b_ns"),
        (mixed_units, "a.busy_ps - b[0].stall_s"),
        (mixed_units, "total_pj += leak_mw"),
        (mixed_units, "busy_ps[x] + cycles_to_ns(y)"),
        (mixed_units, "1 + a_bits + b_bytes"),
        (mixed_units, "rate_bytes_per_s + rate_bytes_per_cycle"),
        (mixed_units, "a_ps < b_cycles"),
        (mixed_units, "a_ps = b_ns"),
        (mixed_units, "f(time_s=time_ps)"),
        (mixed_units, "A_KIB + a_mib"),
        (conversion_factors, "x * 1e-3"),
        (conversion_factors, "x / 1_000_000"),
        (conversion_factors, "x // 1024"),
        (conversion_factors, "x *= 1000"),
        (conversion_factors, "y = 10**12"),
        (conversion_factors, "f(1e12)"),
        (conversion_factors, "f(1000000000)"),
        (eights, "n_bits // 8"),
        (eights, "8 * layer.n_bytes"),
        (eights, "(n_bits + 7) // 8"),
        (eights, "stored_bytes[layer] / 8"),
    ],
)
def test_the_rule_catches(rule: Rule, code: str) -> None:
    assert violations(rule, code, "x.py") != []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (mixed_units, "a_ps + b_ps"),
        (mixed_units, "n_bits + 7"),
        (mixed_units, "names + codes"),
        (mixed_units, "energy_pj_by_component + static_pj"),
        (mixed_units, "read_pj_per_access + write_pj_per_access"),
        (mixed_units, "a_ps = cycles_to_ps(n_cycles, clock_hz)"),
        (mixed_units, "rate_bytes_per_s * time_s"),
        (conversion_factors, "MAX_ITERATIONS = 1000"),
        (conversion_factors, "100 * ratio"),
        (conversion_factors, "1 << 10"),
        (eights, "n_lanes * 8"),
        (eights, "n_bits * 4"),
    ],
)
def test_the_rule_lets_pass(rule: Rule, code: str) -> None:
    assert violations(rule, code, "x.py") == []


def test_only_the_table_of_si_prefixes_may_hold_powers_of_ten() -> None:
    table = "PREFIXES = ((1e9, 'G'), (1e-9, 'n'))"
    assert violations(conversion_factors, table, SI_PREFIXES[0]) == []
    assert violations(conversion_factors, table, "report/plots.py") != []
    assert violations(conversion_factors, table + "\nGIGA = 1e9", SI_PREFIXES[0]) == [
        "dcsim/report/tables.py:2: literal 1000000000.0"
    ]


def test_every_module_has_a_name_that_says_something() -> None:
    assert [path for path in MODULES if {path.stem, path.parent.name} & FORBIDDEN_NAMES] == []


def test_no_file_is_two_rooms() -> None:
    lines = {path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: n for name, n in lines.items() if n > MAX_LINES} == {}
    assert len(lines) > 30

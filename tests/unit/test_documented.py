"""Does every public name of dcsim say what it is for?"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import dcsim

PACKAGE = Path(dcsim.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(body: list[ast.stmt], before: str = "") -> Iterator[tuple[str, Definition]]:
    """(dotted name, definition) of what has no leading underscore, methods and properties of classes included."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield before + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{before}{node.name}.")


def inherits(module: str, name: str) -> bool:
    """Whether a method without a docstring implements one that a base class documents."""
    *classes, method = name.split(".")
    owner = importlib.import_module(module)
    for each in classes:
        owner = getattr(owner, each)
    bases = inspect.getmro(owner)[1:] if inspect.isclass(owner) else ()
    return any(getattr(base.__dict__.get(method), "__doc__", None) for base in bases)


def module_name(path: Path) -> str:
    parts = ("dcsim", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def gaps(source: str, module: str) -> tuple[int, list[str]]:
    """How many public names a module has, itself among them, and which are without a docstring."""
    tree = ast.parse(source)
    names = list(public(tree.body))
    silent = [name for name, node in names if not ast.get_docstring(node) and not inherits(module, name)]
    whole = [] if ast.get_docstring(tree) else [module]
    return 1 + len(names), whole + [f"{module}.{name}" for name in silent]


def test_every_public_name_is_documented() -> None:
    found = [gaps(path.read_text(), module_name(path)) for path in MODULES]
    n_names, silent = sum(n for n, _ in found), [name for _, names in found for name in names]
    print(f"{n_names} public modules, classes, functions, methods and properties, {len(silent)} without a docstring")
    assert n_names > 1000
    assert not silent


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n    pass", ["m", "m.f"]),
        ('"""M."""\ndef f():\n    """F."""\ndef _g():\n    pass', []),
        ('"""M."""\nclass C:\n    """C."""\n    @property\n    def p(self):\n        return 1', ["m.C.p"]),
        ('"""M."""\nclass _C:\n    def p(self):\n        return 1', []),
    ],
)
def test_gaps_are_found(source: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.inherits", lambda module, name: False)
    assert gaps(source, "m")[1] == expected


def test_what_a_base_class_documents_needs_no_word_in_the_others() -> None:
    assert inherits("dcsim.tables", "AddSpec.output_shape")
    assert not inherits("dcsim.tables", "Placed.producers")

"""The stub of the extension module says what is there, and everything public has a docstring."""

import ast
import importlib.util
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import secateurs
import secateurs.distributed
import secateurs.numpy
from secateurs import _rust

STUB = ast.parse((Path(secateurs.__file__).parent / "_rust.pyi").read_text())


def public(names):
    return {name for name in names if not name.startswith("_")}


def parameters(function):
    """Names of the parameters of a stub, with those that are by keyword only, and of those with defaults."""
    arguments = function.args
    positional = [a.arg for a in arguments.args if a.arg not in ("self", "cls")]
    keywords = [a.arg for a in arguments.kwonlyargs]
    with_default = positional[len(positional) - len(arguments.defaults) :] if arguments.defaults else []
    with_default += [a for a, value in zip(keywords, arguments.kw_defaults) if value is not None]
    return positional, keywords, set(with_default)


def runtime(function):
    own = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
    return (
        [p.name for p in own if p.kind is not inspect.Parameter.KEYWORD_ONLY],
        [p.name for p in own if p.kind is inspect.Parameter.KEYWORD_ONLY],
        {p.name for p in own if p.default is not inspect.Parameter.empty},
    )


def test_names_and_parameters_of_the_stub():
    functions = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
    classes = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
    assert public(functions) | public(classes) == public(vars(_rust))
    for name, function in functions.items():
        assert parameters(function) == runtime(getattr(_rust, name)), name
    for name, node in classes.items():
        methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
        real = vars(getattr(_rust, name))
        assert public(methods) == public(real), name
        for method, function in methods.items():
            if any(isinstance(d, ast.Name) and d.id == "property" for d in function.decorator_list):
                assert not callable(getattr(getattr(_rust, name), method))
            else:
                assert parameters(function) == runtime(getattr(getattr(_rust, name), method)), method


def test_the_package_says_that_it_is_typed():
    assert (Path(secateurs.__file__).parent / "py.typed").exists()


@pytest.mark.skipif(shutil.which("mypy", path=str(Path(sys.executable).parent)) is None, reason="needs mypy")
def test_the_types_are_right(tmp_path):
    use = tmp_path / "use.py"
    use.write_text(
        "import numpy as np, secateurs, secateurs.distributed as sd, secateurs.numpy as sn\n"
        "mask: np.ndarray = sn.l1_unstructured(np.ones(3), secateurs.until(0.5))\n"
        "search: sd.Search = sd.begin(sd.summarize('a'), 0.5)\n"
        "selection: sd.Selection | None = search.end_pass(sd.merge([sd.count('a', search.task)]))\n"
        "report: dict = secateurs.prune_checkpoint('a', None, 3, scope='local')\n"
    )
    command = [sys.executable, "-m", "mypy", "--no-incremental", "--ignore-missing-imports", str(use)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    use.write_text("import secateurs\nsecateurs.prune_checkpoint(3, None, 'half')\n")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.count("arg-type") == 2, done.stdout


MODULES = [secateurs, secateurs.numpy, secateurs.distributed]
if importlib.util.find_spec("torch"):
    MODULES += [importlib.import_module("secateurs.torch"), importlib.import_module("secateurs.torch.prune")]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_help(module):
    assert module.__doc__
    own = getattr(module, "__all__", public(vars(module)))
    for name in own:
        value = getattr(module, name)
        if not callable(value):
            continue
        assert inspect.getdoc(value), name
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if callable(function) and not method.startswith("_"):
                    assert inspect.getdoc(function), (name, method)

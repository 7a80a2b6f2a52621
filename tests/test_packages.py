"""One environment, told three times: pyproject.toml, requirements.lock, environment.yml; what wheel, sdist, make do."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import alrnn

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PARTS = ["plots", "experiments", "cluster", "spikes", "book", "test"]
DIRECT = [Requirement(line) for line in sum((EXTRAS[part] for part in PARTS), PROJECT["dependencies"])]
SETTINGS = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]


def pins(lines: list[str]) -> dict[str, str]:
    """name==version lines as a dict; any other line (an address, a path, a range, a hash) is an error."""
    found: dict[str, str] = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9][\w.-]*)==([A-Za-z0-9.]+)", line)
        assert match, f"not a plain name==version: {line!r}"
        assert canonicalize_name(match[1]) not in found, f"{match[1]} stands twice"
        found[canonicalize_name(match[1])] = match[2]
    return found


LOCK = pins((ROOT / "requirements.lock").read_text("utf-8").splitlines())


def test_the_lock_meets_what_pyproject_asks() -> None:
    for requirement in DIRECT:
        pinned = LOCK.get(canonicalize_name(requirement.name))
        assert pinned is not None, f"{requirement.name} is not in requirements.lock"
        assert pinned in requirement.specifier, f"requirements.lock has {requirement.name} {pinned}, not {requirement}"


def test_nbgrader_stands_beside_the_lock() -> None:
    lines = (ROOT / "assignments" / "requirements-nbgrader.txt").read_text("utf-8").splitlines()
    pinned = pins([line for line in lines if not line.startswith("#")])
    assert "nbgrader" in pinned and not pinned.keys() & LOCK.keys()


def test_one_extra_has_all() -> None:
    assert EXTRAS["dev"] == [f"alrnn[{','.join(PARTS)}]"] and set(EXTRAS) == {*PARTS, "dev"}


def test_conda_users_get_the_same() -> None:
    python, pip, nested = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    assert python.startswith(f"python{PROJECT['requires-python']}") and pip == "pip"
    first, *lines, last = nested["pip"]
    assert (first, last) == ("--constraint requirements.lock", "--editable .")
    assert pins(lines) == {canonicalize_name(r.name): LOCK[canonicalize_name(r.name)] for r in DIRECT}


def test_this_environment_is_the_locked_one() -> None:
    """For every direct package; a local label such as +cpu is the same release."""
    found = {r.name: version(r.name).split("+")[0] for r in DIRECT}
    assert found == {r.name: LOCK[canonicalize_name(r.name)] for r in DIRECT}


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == alrnn.__version__ == version("alrnn")


def built(what: str, folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", what, "-d", folder], cwd=ROOT, check=True)
    return next(folder.glob("alrnn-*"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(built("wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that unpacking it makes."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built("sdist", folder)) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def files(folder: Path) -> set[str]:
    """Paths below the checkout of the files in a folder, without what Python leaves there."""
    found = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name and "/." not in name}


def test_the_wheel_carries_the_package_and_its_data(wheel: zipfile.ZipFile) -> None:
    content = {name for name in wheel.namelist() if ".dist-info/" not in name}
    released = {name for name in files(ROOT / "assignments") if name.endswith((".ipynb", ".py"))}  # never solutions
    assert content == files(ROOT / "alrnn") | {f"alrnn/{name}" for name in released | files(ROOT / "data")}
    assert {"alrnn/data/digits.npz", "alrnn/tasks/adding.py", "alrnn/py.typed", "alrnn/recurrence/kernel.c"} <= content


def identifier(licence: str) -> str:
    """The SPDX identifier of a licence as data/README.md and the registry name it."""
    return licence.replace(" ", "-")


def test_licences_of_code_and_bundled_data_are_named_and_their_texts_are_there(wheel: zipfile.ZipFile) -> None:
    bundled = {entry.licence for entry in alrnn.datasets.REGISTRY.values() if not any(file.url for file in entry.files)}
    names = {"MIT", *map(identifier, bundled)}
    (info,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(wheel.read(info))
    assert metadata["License-Expression"].split(" AND ") == sorted(names, key=lambda name: (name != "MIT", name))
    folder = info.replace("METADATA", "licenses")
    texts = {name: wheel.read(f"{folder}/{name}").decode() for name in metadata.get_all("License-File")}
    assert set(texts) == {"LICENSE", *(f"LICENSES/{name}.txt" for name in names - {"MIT"})}
    assert texts["LICENSE"].startswith("MIT License")
    for name in names - {"MIT"}:
        text = " ".join(texts[f"LICENSES/{name}.txt"].split())
        assert f"Attribution-ShareAlike {name.split('-')[-1]}" in text[:200]
        assert all(part in text for part in ("1. Definitions", "8. Miscellaneous") if name.endswith("3.0"))
        assert all(f"Section {i} " in text for i in range(1, 9) if name.endswith("4.0"))
        assert text.rstrip(".").endswith(("https://creativecommons.org/", "creativecommons.org"))


def test_addresses_follow_from_the_repository(wheel: zipfile.ZipFile) -> None:
    """A package index shows the README alone: its picture and links must lead somewhere from there, too."""
    url, branch = SETTINGS["url"], SETTINGS["branch"]
    owner, name = url.removeprefix("https://github.com/").split("/")
    site = f"https://{owner}.github.io/{name}/"
    assert PROJECT["urls"] == {
        "Homepage": site,
        "Repository": url,
        "Issues": f"{url}/issues",
        "Changelog": f"{site}changelog.html",
    }
    readme = (ROOT / "README.md").read_text("utf-8")
    (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", readme)
    raw = f"https://raw.githubusercontent.com/{owner}/{name}/{branch}/"
    assert picture.startswith(raw) and (ROOT / picture.removeprefix(raw)).is_file()
    links = re.findall(r"\]\(([^)]+)\)", readme) + re.findall(r"^\[[^]]+\]: (.+)$", readme, re.MULTILINE)
    assert all(link.startswith("https://") for link in links)
    here = [link.removeprefix(f"{url}/blob/{branch}/") for link in links if link.startswith(f"{url}/blob/")]
    assert here and all((ROOT / name).is_file() for name in here)
    (command,) = re.findall(r'pip install "(.+)"', readme)
    assert Requirement(command).url == f"git+{url}" and Requirement(command).extras == {"plots"}
    assert wheel.read(next(n for n in wheel.namelist() if n.endswith("METADATA"))).decode().endswith(readme)


def test_the_sdist_carries_tests_that_run_in_it(sdist: Path) -> None:
    """Those of the library: they ask for nothing that is not there."""
    assert {"CITATION.cff", "LICENSE", "LICENSES", "README.md", "alrnn", "data", "pyproject.toml", "tests"} <= {
        path.name for path in sdist.iterdir()
    }
    outside = {path.name for path in ROOT.iterdir()} - {path.name for path in sdist.iterdir()}
    texts = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py")}
    asking = {test for test, text in texts.items() if any(f'"{name}"' in text for name in outside if name[0] != ".")}
    assert {path.name for path in (sdist / "tests").glob("test_*.py")} == set(texts) - asking
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_statistics.py"]
    command += ["tests/test_datasets.py::test_digits"]
    env = {**os.environ, "PYTHONPATH": str(sdist)}
    done = subprocess.run(command, cwd=sdist, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_finds_its_data_in_an_empty_folder(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """No checkout, no network, no folder of data, no cache: only what the wheel brings."""
    wheel.extractall(tmp_path / "wheel")
    (tmp_path / "empty").mkdir()
    code = "import alrnn; images, labels = alrnn.datasets.digits(); print(alrnn.__file__, len(images), len(labels))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "empty",
        env={"PYTHONPATH": str(tmp_path / "wheel"), "HOME": str(tmp_path / "empty"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.stdout.split() == [str(tmp_path / "wheel" / "alrnn" / "__init__.py"), "5000", "5000"], run.stderr


# A program that stands for Python and all others: notes its name, its arguments and ALRNN_KERNEL. It makes a .venv.
STUB = """#!/bin/sh
echo "$(basename "$0") $* $ALRNN_KERNEL" >> log
if [ "$2" = venv ]; then mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi
"""


def stub(path: Path, fails: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUB + "exit 1" * fails)
    path.chmod(0o755)


def make(folder: Path, *arguments: str, **env: str) -> tuple[int, str, list[str]]:
    """Runs the Makefile in a folder where all that it calls is a stub: exit status, output, and what was called."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    (folder / "log").write_text("")
    done = subprocess.run(["make", *arguments], cwd=folder, env=kept | env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr, (folder / "log").read_text().splitlines()


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@needs_make
def test_make_test_goes_on_when_a_part_fails(tmp_path: Path) -> None:
    for name in (".venv/bin/python", ".venv/bin/ruff", ".venv/bin/mypy", "tools/sanitize.sh"):
        stub(tmp_path / name, fails=True)
    (tmp_path / ".venv" / "ready").touch()
    status, _, calls = make(tmp_path, "test")
    assert status != 0 and len(calls) == 6
    style, types, kernel, torch, sanitizers, notebooks = calls
    assert style.startswith("ruff check") and types.startswith("mypy") and sanitizers.startswith("sanitize.sh")
    assert kernel.startswith("python -m pytest") and torch.startswith("python -m pytest") and torch.endswith(" 0")
    assert notebooks.startswith("python tools/execute.py")
    assert make(tmp_path, "unit")[2] == [kernel]  # alone, a part stops where it fails
    stub(tmp_path / ".venv" / "bin" / "mypy")
    assert make(tmp_path, "test")[0] != 0
    for name in (".venv/bin/python", ".venv/bin/ruff", "tools/sanitize.sh"):
        stub(tmp_path / name)
    status, _, calls = make(tmp_path, "test")
    assert status == 0 and len(calls) == 7  # ruff format, too


@needs_make
@pytest.mark.parametrize("given", ["a path/with blanks/python", "~/a path/with blanks/python", "with $dollar/python"])
def test_make_takes_any_path_for_python(tmp_path: Path, given: str) -> None:
    home = tmp_path / "my home"
    stub(home / given.removeprefix("~/"))
    path = given if given.startswith("~") else str(home / given)
    status, said, calls = make(tmp_path, "PYTHON=" + path.replace("$", "$$"), ".venv/ready", HOME=str(home))
    assert status == 0 and "Making .venv with" in said, said
    assert "python -m venv --clear .venv " in calls and (tmp_path / ".venv" / "ready").exists()


@needs_make
@pytest.mark.parametrize("old", [0, 2, 5])
def test_make_finds_a_python_that_is_new_enough(tmp_path: Path, old: int) -> None:
    """By itself, the first of these names that serves."""
    names = ["python3.13", "python3.12", "python3.11", "python3", "python"]
    for i, name in enumerate(names):
        stub(tmp_path / "bin" / name, fails=i < old)
    status, said, calls = make(tmp_path, ".venv/ready", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    if old == len(names):
        assert status != 0 and "No Python 3.11 or newer" in said and "make PYTHON=" in said
    else:
        assert status == 0 and f"{names[old]} -m venv --clear .venv " in calls, said

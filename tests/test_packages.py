"""One environment, told three times: pyproject.toml, requirements.lock, environment.yml; and what the wheel carries."""

import re
import subprocess
import sys
import tomllib
import zipfile
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
DIRECT = [Requirement(line) for line in PROJECT["dependencies"] + EXTRAS["book"] + EXTRAS["test"]]


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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def files(folder: Path) -> set[str]:
    """Paths below the checkout of the files in a folder, without what Python leaves there."""
    found = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name and "/." not in name}


def test_the_wheel_carries_the_package_and_its_data(wheel: zipfile.ZipFile) -> None:
    content = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert content == files(ROOT / "alrnn") | {f"alrnn/{name}" for name in files(ROOT / "data")}
    assert {"alrnn/data/digits.npz", "alrnn/tasks/adding.py"} <= content


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

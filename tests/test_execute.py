"""Notebooks are executed once: again only when what they rest on changed, and never taken for done when they failed."""

import json
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import execute


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_notebook(path: Path, code: str) -> None:
    cell = nbformat.v4.new_code_cell(code, id="cell")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    write(path, nbformat.writes(nbformat.v4.new_notebook(cells=[cell], metadata=kernel)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project in miniature: a package with data, a lock file, a book of two notebooks and a page."""
    write(tmp_path / "alrnn" / "__init__.py", '__version__ = "1"\n')
    write(tmp_path / "data" / "numbers.csv", "1,2\n")
    write(tmp_path / "requirements.lock", "torch==1\n")
    write(
        tmp_path / "pyproject.toml",
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "alrnn"\nversion = "1"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["alrnn"]\n'
        '[tool.hatch.build.targets.wheel.force-include]\ndata = "alrnn/data"\n',
    )
    write(tmp_path / "book" / "intro.md", "# Intro\n")
    write_notebook(tmp_path / "book" / "one.ipynb", "1 + 1")
    write_notebook(tmp_path / "book" / "part" / "two.ipynb", "2 + 2")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ("book/one.ipynb", {"one"}),
        ("book/part/two.ipynb", {"part/two"}),
        ("alrnn/__init__.py", {"one", "part/two"}),
        ("alrnn/tasks/new.py", {"one", "part/two"}),
        ("data/numbers.csv", {"one", "part/two"}),
        ("data/results/adding.csv", {"one", "part/two"}),
        ("requirements.lock", {"one", "part/two"}),
        ("book/intro.md", set()),
        ("README.md", set()),
        ("alrnn/__pycache__/model.pyc", set()),
    ],
)
def test_what_makes_a_notebook_stale(root: Path, changed: str, stale: set[str]) -> None:
    before = execute.stamps(root)
    assert set(before) == {"one", "part/two"} and before == execute.stamps(root)
    path = root / changed
    write(path, (path.read_text("utf-8") if path.exists() else "") + "\n")
    after = execute.stamps(root)
    assert {name for name in before if after[name] != before[name]} == stale


def test_another_python_makes_all_stale(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = execute.stamps(root)
    monkeypatch.setattr(execute.platform, "python_version", lambda: "3.99.0")
    assert not before.items() & execute.stamps(root).items()


def test_moving_bytes_from_one_file_to_the_next_is_a_change(root: Path) -> None:
    write(root / "alrnn" / "a.py", "xy")
    write(root / "alrnn" / "b.py", "z")
    before = execute.stamps(root)
    write(root / "alrnn" / "a.py", "x")
    write(root / "alrnn" / "b.py", "yz")
    assert not before.items() & execute.stamps(root).items()


def test_one_execution_a_notebook(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Through the real nbmake: pass, fail, repair, repeat, delete."""
    alone = "import os, alrnn\nhome = os.path.dirname(alrnn.__file__)\n"
    leaves = "open('one.json', 'w').write('{}')"
    alone += "assert home.endswith('wheel/alrnn') and 'data' in os.listdir(home)"
    write_notebook(root / "book" / "one.ipynb", f"{alone}\nassert len(os.listdir()) == 1\n{leaves}\nprint('seen')")
    write_notebook(root / "book" / "part" / "two.ipynb", "assert False, 'broken'")
    executed = root / "executed" / "book"

    assert execute.main(root) == 1
    assert "1 passed, 1 failed (2 run now, 0 unchanged" in capfd.readouterr().out
    (output,) = json.loads((executed / "one.ipynb").read_text("utf-8"))["cells"][0]["outputs"]
    assert "".join(output["text"]) == "seen\n"
    assert not (executed / "part" / "two.ipynb").exists()
    assert (executed / "one.json").read_text() == "{}", "what a notebook leaves under its own name comes with it"
    assert set(execute.read_status(root)) == {"one"}
    assert (executed / "intro.md").exists()

    write_notebook(root / "book" / "part" / "two.ipynb", "2 + 2")
    assert execute.main(root) == 0
    assert "2 passed, 0 failed (1 run now, 1 unchanged" in capfd.readouterr().out
    entry = execute.read_status(root)["part/two"]
    assert entry["seconds"] > 0 and entry["torch"] == version("torch") and date.fromisoformat(entry["date"])

    assert execute.main(root) == 0
    assert "2 passed, 0 failed (0 run now, 2 unchanged" in capfd.readouterr().out
    assert (executed / "one.json").exists()

    (root / "book" / "part" / "two.ipynb").unlink()
    assert execute.main(root) == 0
    assert "1 passed, 0 failed (0 run now, 1 unchanged" in capfd.readouterr().out
    assert not (executed / "part").exists() and set(execute.read_status(root)) == {"one"}

    write_notebook(root / "book" / "one.ipynb", "assert False")
    assert execute.main(root) == 1
    assert not (executed / "one.json").exists(), "nor does it outlive the notebook's success"


def test_what_is_done_when_the_run_is_cut_short_stays_done(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(names: list[str], root: Path):
        (root / "executed" / "run" / names[0]).mkdir(parents=True)
        write_notebook(root / "executed" / "run" / names[0] / f"{names[0]}.ipynb", "1 + 1")
        yield names[0], 1.5
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "run", cut_short)
    with pytest.raises(KeyboardInterrupt):
        execute.main(root)
    assert set(execute.read_status(root)) == {"one"}
    monkeypatch.setattr(execute, "run", lambda names, root: iter([(name, 1.0) for name in names if name == "one"]))
    assert execute.main(root) == 1, "only the other one is asked for"

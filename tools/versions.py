"""Run the notebooks as a reader does who installs alrnn and nothing else, at either end of what pyproject.toml allows.

    python tools/versions.py lowest            every notebook on the lowest allowed version of each dependency
    python tools/versions.py newest intro      one notebook on the newest versions

A fresh environment in executed/lowest or executed/newest gets the wheel with [plots], as Colab does, and a kernel. Each
notebook runs alone in an empty folder. This downloads two to three gigabytes; continuous integration does it each week.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from execute import ROOT, build_wheel, run_alone, stamps


def lowest(root: Path = ROOT) -> dict[str, str]:
    """The lowest allowed version of each declared dependency."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["plots"]]
    bounds = [re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement) for requirement in declared]
    return {bound[1]: bound[2] for bound in bounds if bound}


def make_environment(which: str, folder: Path, root: Path = ROOT) -> dict[str, str]:
    """Make the environment; the variables that make Jupyter start its Python, whichever one Jupyter runs on."""
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wheel = build_wheel(folder / "wheel", root)
    pins = folder / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in lowest(root).items() if which == "lowest"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", pins, f"{wheel}[plots]", "ipykernel"]
    subprocess.run(install, env=env, check=True)
    subprocess.run([python, "-m", "pip", "freeze"], env=env, check=True)
    kernel = folder / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": which, "language": "python"}), encoding="utf-8")
    return {**env, "JUPYTER_PATH": str(folder / "jupyter")}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run the notebooks on the lowest or the newest allowed versions.")
    parser.add_argument("which", choices=["lowest", "newest"])
    parser.add_argument("notebooks", nargs="*", help="as in book/_toc.yml; all of them if none is named")
    arguments = parser.parse_args(argv)
    names = arguments.notebooks or list(stamps())
    folder = ROOT / "executed" / arguments.which
    passed = dict(run_alone(names, folder / "run", make_environment(arguments.which, folder)))
    failed = [name for name in names if name not in passed]
    print(f"{arguments.which} versions: {len(passed)} notebooks passed, {len(failed)} failed", *failed)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

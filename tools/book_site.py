"""The book's own Sphinx extension, named in _config.yml: what every page of the site needs and no source file says.

- The scripts that draw math and move sliders, copied out of tools/web/node_modules: no page asks another host.
- Displayed formulas reach MathJax as they stand in the notebook; Sphinx would wrap a matrix so that \\tag fails in it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

WEB = Path(__file__).resolve().parent / "web"
SERVED = [  # (folder below tools/web, files, folder below _static/vendor)
    ("node_modules/mathjax/es5", "tex-mml-chtml.js", "mathjax"),
    ("node_modules/mathjax/es5", "a11y/*.js", "mathjax"),
    ("node_modules/mathjax/es5", "input/tex/extensions/*.js", "mathjax"),
    ("node_modules/mathjax/es5", "output/chtml/fonts/woff-v2/*.woff", "mathjax"),
    ("node_modules/mathjax/es5", "sre/mathmaps/base.json", "mathjax"),
    ("node_modules/mathjax/es5", "sre/mathmaps/en.json", "mathjax"),
    ("node_modules/mathjax/es5", "sre/mathmaps/nemeth.json", "mathjax"),
    ("node_modules/requirejs", "require.js", ""),
    (".", "widgets-compat.js", ""),
    ("node_modules/@jupyter-widgets/html-manager/dist", "embed-amd.js", "@jupyter-widgets/html-manager/dist"),
    ("node_modules/@jupyter-widgets/html-manager/dist", "*.woff2", "@jupyter-widgets/html-manager/dist"),
    ("node_modules/@jupyter-widgets/html-manager/dist", "*.woff2", "@jupyter-widgets"),  # its other modules look here
]


def copy_scripts(app: Sphinx, exception: Exception | None) -> None:
    if exception:
        return
    for folder, pattern, below in SERVED:
        files = sorted((WEB / folder).glob(pattern))
        if not files:
            raise FileNotFoundError(f"{WEB / folder / pattern}: run make, which installs tools/web/package-lock.json")
        for path in files:
            target = Path(app.outdir, "_static/vendor", below, path.relative_to(WEB / folder))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def keep_formulas(app: Sphinx, doctree: nodes.document) -> None:
    for block in doctree.findall(nodes.math_block):
        if not block.get("nowrap"):
            block[:] = [nodes.Text(rf"\[{block.astext()}\]")]
            block["nowrap"] = True


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", keep_formulas)
    app.connect("build-finished", copy_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

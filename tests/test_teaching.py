"""What teachers take from the chapters: minutes, homework, slides."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import teaching  # noqa: E402

FIGURE = (
    '<figure style="x"><img src="data:image/png;base64,AAAA" alt="A line."><figcaption>It rises.</figcaption></figure>'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A book of one chapter, executed."""
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell("# A & B\n\n" + "word " * 400 + "\n\n## Two\n\n$$x = 1$$"),
        v4.new_code_cell("1\n" * 20),
        v4.new_code_cell("1\n" * 500, metadata={"tags": ["hide-input"]}),
        v4.new_markdown_cell("## Exercises\n\n**Exercise 3. Extend.** Take $|x|$\nas input. Then go on.\n\n"
                             "<details>" + "word " * 1000 + "</details>"),
    ]  # fmt: skip
    cells[2].outputs = [v4.new_output("display_data", {"text/html": FIGURE})]
    for folder in ("book", "executed/book"):
        (tmp_path / folder).mkdir(parents=True)
        nbformat.write(v4.new_notebook(cells=cells), tmp_path / folder / "one.ipynb")
    (tmp_path / "book" / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n- file: one\n")
    (tmp_path / "executed" / "status.json").write_text('{"one": {"seconds": 12.3}}')
    return tmp_path


def test_minutes_are_counted(root: Path) -> None:
    found = teaching.sections(teaching.notebook("one", root))
    assert found["A & B"] == pytest.approx(2, abs=0.05)
    assert found["Two"] == pytest.approx(0.5 + 1 + 0.5, abs=0.05), (
        "a formula, twenty lines, a figure; what is folded not"
    )
    assert found["Exercises"] < 0.2, "solutions are not in it"
    assert teaching.minutes(root).endswith(r"| [](../one.ipynb) | 4 | 12 | Take $\|x\|$ as input. |")


def test_slides_are_one_file_with_captions_and_alt_text(root: Path) -> None:
    text = teaching.slides(["one"], root)
    assert text.count("<section>") == 2 and "<h1>A &amp; B</h1>" in text and "<h2>Two</h2>" in text
    assert 'alt="A line."' in text and "It rises." in text
    assert not re.search(r'(src|href)="(?!data:)', text), "nothing is loaded from elsewhere"
    (root / "executed" / "book" / "one.ipynb").unlink()
    nb = nbformat.read(root / "book" / "one.ipynb", 4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(nb, root / "book" / "one.ipynb")
    with pytest.raises(ValueError, match="make book"):
        teaching.slides(["one"], root)


def test_every_chapter_has_minutes_and_something_to_take_home() -> None:
    rows = [row.split(" | ") for row in teaching.minutes().splitlines()[2:]]
    assert len(rows) >= 20
    assert all(5 <= int(row[1]) <= 45 and len(row[3]) > 20 for row in rows), rows


def test_an_unknown_chapter_is_named() -> None:
    words = [sys.executable, ROOT / "tools" / "teaching.py", "minutes", "foundations/none"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and "no chapter 'foundations/none'; there are foundations/almost-linear" in done.stderr

"""The README's example runs as it stands, and shows what it says."""

import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_example(capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "import alrnn" in block)  # the other is minimal.py: test_minimal.py
    names: dict = {}
    exec(code, names)
    median = names["sweep"].table.groupby("P").test.median()
    floor = names["theory"].adding_floor(30)
    assert median[0] > 0.9 * floor and median[1] < 0.1 * floor
    assert sorted(names["seen"].codes) == ["0", "1"]
    assert f"below {floor}" in capsys.readouterr().out

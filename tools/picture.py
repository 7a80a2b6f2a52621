"""Take the README's picture from the executed book: scores against P on the landing page, as they stand there.

python tools/picture.py        after `make book`
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "book" / "_static" / "answer.png"


def main() -> None:
    page = nbformat.read(ROOT / "executed" / "book" / "intro.ipynb", as_version=4)
    outputs = next(cell.outputs for cell in page.cells if "score_against_P" in cell.source)
    shown = (out.data["text/html"] for out in outputs if "text/html" in out.get("data", {}))
    image = next(match for text in shown if (match := re.search(r'<img src="[^,]+base64,([A-Za-z0-9+/=]+)"', text)))
    PICTURE.write_bytes(base64.b64decode(image[1]))


if __name__ == "__main__":
    main()

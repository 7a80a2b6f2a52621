"""Draw the plan of the house from the imports that the code has: python tools/house.py

Each module or package of alrnn is a room. A room stands above those it imports, and an arrow leads to each of these,
but where a chain of arrows leads there anyway. The picture, book/_static/house.svg, has its own light ground.
"""

from __future__ import annotations

import ast
import textwrap
from html import escape
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "book" / "_static" / "house.svg"
MARGIN, BOX, GAP, FLOOR = 18, 134, 12, 34  # pixels: the rim, a room's width, between two rooms, between two floors
LINE, FONT = 14, "font-family='ui-monospace, SFMono-Regular, Menlo, Consolas, monospace'"
House = dict[str, set[str]]  # room -> the rooms it imports


def rooms(root: Path = ROOT) -> dict[str, list[Path]]:
    """Room -> its files of code."""
    found: dict[str, list[Path]] = {}
    for path in sorted((root / "alrnn").rglob("*.py")):
        if path != root / "alrnn" / "__init__.py":
            found.setdefault(path.relative_to(root / "alrnn").with_suffix("").parts[0], []).append(path)
    return found


def imports(root: Path = ROOT) -> House:
    """What each room imports of the others, by all relative imports in its files."""
    house: House = {}
    for room, files in rooms(root).items():
        names = set()
        for path in files:
            depth = len(path.relative_to(root / "alrnn").parts)  # so many dots lead to alrnn itself
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.level == depth:
                    names |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        house[room] = names & rooms(root).keys() - {room}
    return house


def below(room: str, house: House) -> set[str]:
    """All that a room rests on."""
    return house[room].union(*(below(other, house) for other in house[room]))


def arrows(house: House) -> list[tuple[str, str]]:
    """The imports that no chain of others implies."""
    implied = {room: set().union(*(below(other, house) for other in found)) for room, found in house.items()}
    return sorted((room, other) for room, found in house.items() for other in found - implied[room])


def floors(house: House) -> list[list[str]]:
    """The rooms from the ground up: right below the lowest that imports them, and near those that they rest on."""

    def lowest(room: str) -> int:
        return max((1 + lowest(other) for other in house[room]), default=0)

    def height(room: str) -> int:
        return min((height(other) - 1 for other in house if room in house[other]), default=lowest(room))

    levels: list[list[str]] = [[] for _ in range(1 + max(map(height, house)))]
    for room in sorted(house):
        levels[height(room)].append(room)
    place: dict[str, float] = {}
    for level in levels:
        level.sort(key=lambda room: (mean([place[other] for other in house[room]] or [0.5]), room))
        place |= {room: (i + 0.5) / len(level) for i, room in enumerate(level)}
    return levels


def draw(root: Path = ROOT) -> str:
    """The picture as SVG."""
    house, files = imports(root), rooms(root)
    inside = {}
    for room, paths in files.items():
        parts = [path.stem for path in paths if path.parent.name == room and path.stem != "__init__"]
        inside[room] = textwrap.wrap(", ".join(parts), 18)
    levels = floors(house)
    width = max(map(len, levels)) * (BOX + GAP) - GAP + 2 * MARGIN
    top, boxes, shapes = MARGIN, {}, []
    for level in reversed(levels):
        tall = {room: 30 + LINE * len(inside[room]) for room in level}
        top += max(tall.values())
        left = (width - len(level) * (BOX + GAP) + GAP) / 2
        boxes |= {room: (left + i * (BOX + GAP), top - tall[room], tall[room]) for i, room in enumerate(level)}
        top += FLOOR
    for room, other in arrows(house):
        (x, y, tall), (to, end, _) = boxes[room], boxes[other]
        x, to, y = x + BOX / 2, to + BOX / 2, y + tall
        bend = f"C {x:.0f} {y + FLOOR:.0f} {to:.0f} {end - FLOOR:.0f} {to:.0f} {end - 5:.0f}"
        line = f"M {x:.0f} {y:.0f} {bend}"
        shapes.append(f"<path class='import' data-from='{room}' data-to='{other}' d='{line}'/>")
    for room, (x, y, tall) in boxes.items():
        name = f"{room}/" if inside[room] else f"{room}.py"
        text = [f"<text x='{x + 10:.0f}' y='{y + 20:.0f}' font-size='14' font-weight='bold'>{escape(name)}</text>"]
        for i, line in enumerate(inside[room]):
            text.append(f"<text x='{x + 10:.0f}' y='{y + 38 + LINE * i:.0f}' font-size='10.5'>{escape(line)}</text>")
        box = f"<rect x='{x:.0f}' y='{y:.0f}' width='{BOX}' height='{tall}' rx='5'/>"
        shapes.append(f"<g class='room' id='{room}'>{box}{''.join(text)}</g>")
    told = "; ".join(f"{room} imports {', '.join(sorted(found))}" for room, found in house.items() if found)
    style = "path{fill:none;stroke:#777;stroke-width:1.2;marker-end:url(#tip)}"
    style += "rect{fill:#eef5f7;stroke:#0f4c5c}text{fill:#222}"
    size = f"viewBox='0 0 {width} {top - FLOOR + MARGIN:.0f}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' role='img' {size} {FONT}>"
    tip = "<marker id='tip' viewBox='0 0 8 8' refX='6' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
    tip += "<polygon points='0,0 8,4 0,8' fill='#777'/></marker>"
    ground = "<rect width='100%' height='100%' rx='8' style='fill:white;stroke:none'/>"
    title = "<title>The rooms of alrnn and what each imports</title>" + f"<desc>{escape(told)}.</desc>"
    return "\n".join([head, title, f"<style>{style}</style>", f"<defs>{tip}</defs>", ground, *shapes, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")

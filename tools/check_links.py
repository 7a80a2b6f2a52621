"""Check the published book: python tools/check_links.py https://OWNER.github.io/NAME/ (by default that of _config.yml)

Every page of book/_toc.yml must be there and no other be linked; every link and file of the same site must be found.
"""

from __future__ import annotations

import re
import sys
import urllib.request
from html import unescape
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urldefrag, urljoin

import yaml

ROOT = Path(__file__).resolve().parent.parent


def pages(contents: dict | list) -> list[str]:
    """All pages named in a table of contents, in order."""
    if isinstance(contents, list):
        return [page for entry in contents for page in pages(entry)]
    own = [contents[key] for key in ("root", "file") if key in contents]
    return own + [page for key in ("parts", "chapters", "sections") for page in pages(contents.get(key, []))]


def address(root: Path = ROOT) -> str:
    """Where GitHub publishes the repository that _config.yml names."""
    url = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"]
    owner, name = url.removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{name}/"


def crawl(base: str, start: list[str]) -> tuple[set[str], list[str]]:
    """Addresses below base that were found, from the start on along links; and what is wrong, one line each."""
    found: dict[str, set[str] | None] = {}  # address -> its anchors; None if it is not there
    wrong: list[str] = []
    asked: list[tuple[str, str]] = []  # page, link with an anchor
    waiting = [(urljoin(base, page), "the contents") for page in start]
    while waiting:
        url, source = waiting.pop()
        if url in found:
            continue
        found[url] = None
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                text = answer.read().decode("utf-8") if answer.headers.get_content_type() == "text/html" else ""
        except (HTTPError, OSError) as error:
            wrong.append(f"{url}, linked from {source}: {error}")
            continue
        found[url] = set(re.findall(r'\bid="([^"]+)"', text))
        body = re.sub(r"<script\b.*?</script>", lambda script: script[0].split(">")[0] + ">", text, flags=re.DOTALL)
        for link in re.findall(r'<[a-z][^<>]*?\s(?:href|src)="([^"]*)"', body):
            target, anchor = urldefrag(urljoin(url, unescape(link)))
            target = target.split("?")[0]
            if target.startswith(base):
                waiting.append((target, url))
                if anchor:
                    asked.append((url, f"{target}#{anchor}"))
    for url, link in asked:
        target, _, anchor = link.partition("#")
        anchors = found[target]
        if target.endswith(".html") and anchors is not None and anchor not in anchors:
            wrong.append(f"{link}, linked from {url}: no such place on the page")
    return set(found), wrong


def main(arguments: list[str]) -> int:
    base = arguments[0] if arguments else address()
    expected = [f"{page}.html" for page in pages(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8")))]
    found, wrong = crawl(base, ["", *expected])
    shown = {url.removeprefix(base) for url in found if url.endswith(".html")} - {"search.html", "genindex.html"}
    extra = sorted(shown - set(expected) - {"index.html"})
    wrong += [f"{page} is linked, but not in the contents" for page in extra]
    print(*wrong, f"{len(expected)} pages, {len(found)} addresses, {len(wrong)} wrong", sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A real browser for tests. Chromium is found on the path, or where `playwright install chromium` puts one.

Where there is none the tests skip; ALRNN_BROWSER=required, as continuous integration sets it, makes that a failure.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# No name resolves, and the browser's own calls home are off: what is left are the page's requests to this machine.
OPTIONS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    *"--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update".split(),
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if Path(own).exists() else next(filter(None, map(shutil.which, NAMES)), None)
        if path is None:
            stop = pytest.fail if os.environ.get("ALRNN_BROWSER") == "required" else pytest.skip
            stop("there is no Chromium; run: .venv/bin/playwright install --with-deps chromium")
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=[*OPTIONS, *root])
        yield browser
        browser.close()

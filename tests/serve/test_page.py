"""The page, used in a real browser."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from browser import Browser
from served import CODEC, Server, Start

Open = Callable[..., Browser]


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Open]:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is missing")
    opened: list[Browser] = []

    def browser(url: str, width: int = 1000, height: int = 900, dark: bool = False) -> Browser:
        opened.append(Browser(str(program), tmp_path, url, width, height, dark))
        return opened[-1]

    yield browser
    for each in opened:
        each.close()


@pytest.mark.parametrize(("width", "dark"), [(1000, False), (390, True)])
def test_flows_are_generated_drawn_and_downloaded(
    server: Server, browse: Open, tmp_path: Path, width: int, dark: bool
) -> None:
    page = browse(server.url, width, dark=dark)
    assert page.wait("document.querySelectorAll('#labels option').length") == len(CODEC.labels)
    page.run("document.getElementById('go').click()")
    assert page.wait("/^100 flows/.test(document.getElementById('said').textContent)")
    assert page.run("document.getElementById('flows').textContent.split('\\n').length") == 30
    for canvas in ("sizes", "times"):
        drawn = f"""(() => {{ const c = document.getElementById('{canvas}'); return c.getContext('2d')
            .getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 == 0 && v > 150) }})()"""
        assert page.run(drawn)
    # Nothing is wider than the window.
    assert page.run("document.documentElement.scrollWidth") <= width
    page.picture(tmp_path / "page.png")
    for kind in ("pcap", "parquet"):
        page.run(f"document.getElementById('{kind}').click()")
        file = tmp_path / f"edgegen-7.{kind}"
        deadline = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        asked = {"n": 100, "seed": 7, "format": kind}
        assert file.read_bytes() == httpx.post(f"{server.url}/v1/flows", json=asked).content
    assert page.complaints == []


def test_a_token_is_asked_for(start: Start, browse: Open) -> None:
    page = browse(start(EDGEGEN_TOKEN="s3cret").url)
    assert page.wait("!document.getElementById('token-of').hidden")
    page.run("document.getElementById('token').value = 's3cret'; document.getElementById('go').click()")
    assert page.wait("/^100 flows/.test(document.getElementById('said').textContent)")

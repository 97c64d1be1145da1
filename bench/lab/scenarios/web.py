"""Web browsing over HTTPS: pages and their assets, by curl, wget and ab, from nginx."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario
from bench.lab.servers import NAMES, nginx

PAGES, ASSETS = 12, 40
SUFFIXES = ("css", "js", "png", "jpg", "woff2", "json", "svg")
WORDS = (
    "the",
    "of",
    "gateway",
    "packet",
    "flow",
    "router",
    "link",
    "time",
    "loss",
    "queue",
    "field",
    "small",
)
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile Safari/604.1",
    "okhttp/4.12.0",
)


def _text(rng: random.Random, size: int) -> bytes:
    return " ".join(rng.choices(WORDS, k=size // 5 + 1)).encode()[:size]


def serve(host: Host, rng: random.Random) -> None:
    site = host.folder / "site"
    site.mkdir()
    for number in range(ASSETS):
        suffix = SUFFIXES[number % len(SUFFIXES)]
        size = int(10 ** rng.uniform(2.3, 5.3))
        content = _text(rng, size) if suffix in ("css", "js", "json", "svg") else rng.randbytes(size)
        (site / f"asset{number}.{suffix}").write_bytes(content)
    for number in range(PAGES):
        links = "".join(f'<img src="{name}">' for name in _assets(rng))
        body = _text(rng, int(10 ** rng.uniform(2.5, 4.7))).decode()
        (site / f"page{number}.html").write_text(f"<html><body>{links}<p>{body}</p></body></html>")
    nginx(host, rng, http2=rng.random() < 0.5)


def _assets(rng: random.Random) -> list[str]:
    numbers = rng.sample(range(ASSETS), rng.randint(1, 10))
    return [f"asset{number}.{SUFFIXES[number % len(SUFFIXES)]}" for number in numbers]


def _headers(rng: random.Random) -> list[str]:
    headers = ["--user-agent", rng.choice(AGENTS)]
    if rng.random() < 0.7:
        headers += ["--header", f"Cookie: session={rng.randbytes(rng.randint(8, 300)).hex()}"]
    if rng.random() < 0.5:
        headers += ["--header", "Accept-Language: en-GB,en;q=0.8,fr;q=0.5"]
    return headers


def _curl(rng: random.Random, address: str, paths: list[str]) -> list[str]:
    name = rng.choice(NAMES)
    command = ["curl", "-sk", "--max-time", "40", "--connect-to", f"::{address}:443", *_headers(rng)]
    if rng.random() < 0.7:
        command.append("--compressed")
    command += rng.choice(([], ["--http1.1"], ["--tls-max", "1.3"], ["--curves", "P-256"]))
    if len(paths) > 3 and rng.random() < 0.5:
        command += ["--parallel", "--parallel-max", str(rng.randint(2, 6))]
    elif len(paths) > 1 and rng.random() < 0.5:
        command += ["--rate", f"{rng.randint(2, 20)}/s"]
    return command + [part for path in paths for part in ("-o", "/dev/null", f"https://{name}/{path}")]


def _visitor(rng: random.Random, address: str, client: Host) -> Act:
    """One client: a page with its assets, a look at a few pages, an API call, an upload, or a load test."""
    page = f"page{rng.randrange(PAGES)}.html"
    kind = rng.choices(("page", "single", "wget", "post", "ab"), (5, 3, 2, 2, 1))[0]
    if kind == "page":
        return Act(_curl(rng, address, [page, *_assets(rng)]))
    if kind == "single":
        return Act(_curl(rng, address, rng.sample([page, *_assets(rng)], 2)[: rng.randint(1, 2)]))
    if kind == "wget":
        target = str(client.folder / f"wget{rng.randrange(10**9)}")
        options = ["-q", "--no-check-certificate", "--timeout=20", "--tries=1", "-P", target]
        requisites = ["--page-requisites"] if rng.random() < 0.6 else []
        return Act(["wget", *options, *requisites, f"https://{address}/{page}"])
    if kind == "post":
        body = rng.randbytes(int(10 ** rng.uniform(1, 4.7)))
        return Act([*_curl(rng, address, ["upload"]), "--data-binary", "@-"], body)
    load = ["-n", str(rng.randint(1, 4)), "-c", "1", "-s", "20", *(["-k"] if rng.random() < 0.5 else [])]
    return Act(["ab", "-q", *load, f"https://{address}/{page}"])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    # A visitor opens 1.7 connections on average.
    acts = [_visitor(rng, address, client) for _ in range(flows)]
    play(client, acts, rng, lanes=rng.randint(4, 6))


SCENARIO = Scenario(
    label="web",
    packages=("nginx-light", "openssl", "curl", "wget", "apache2-utils"),
    pip=(),
    filter="tcp port 443",
    serve=serve,
    visit=visit,
)

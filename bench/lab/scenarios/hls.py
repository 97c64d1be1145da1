"""HLS video over HTTPS: segments that ffmpeg encoded, fetched from nginx by ffmpeg (a player) and curl."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario
from bench.lab.servers import NAMES, nginx

FILMS = 3
SOURCES = (
    "testsrc2",
    "mandelbrot",
    "life=mold=10:ratio=0.3:death_color=#C83232:life_color=#00ff00",
    "cellauto",
)
SIZES = ("426x240", "640x360", "854x480")


def serve(host: Host, rng: random.Random) -> None:
    site = host.folder / "site"
    for number in range(FILMS):
        film = site / f"film{number}"
        film.mkdir(parents=True)
        source = rng.choice(SOURCES)
        video = f"{source}{':' if '=' in source else '='}size={rng.choice(SIZES)}:rate=25"
        fragmented = ["-hls_segment_type", "fmp4"] if rng.random() < 0.5 else []
        pictures = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        pictures += ["-g", str(rng.choice((25, 50))), "-b:v", f"{rng.choice((300, 800, 2000))}k"]
        sound = ["-c:a", "aac", "-b:a", f"{rng.choice((48, 96, 160))}k"]
        tone = f"sine=frequency={rng.randint(200, 900)}"
        inputs = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", tone, "-t", "8", "-threads", "1"]
        packing = [
            "-f",
            "hls",
            "-hls_time",
            str(rng.choice((1, 2))),
            "-hls_playlist_type",
            "vod",
            *fragmented,
        ]
        target = str(film / "index.m3u8")
        host.run(["ffmpeg", "-v", "error", *inputs, *pictures, *sound, *packing, target], check=True)
    nginx(host, rng, http2=rng.random() < 0.3)


def _player(rng: random.Random, address: str) -> Act:
    """ffmpeg reads at the film's own pace, on one connection or on a new one for each segment."""
    film = f"https://{address}/film{rng.randrange(FILMS)}/index.m3u8"
    persistent = str(int(rng.random() < 0.6))
    options = ["-http_persistent", persistent, "-http_multiple", str(int(rng.random() < 0.5))]
    agent = rng.choice(("Lavf/59", "VLC/3.0.18 LibVLC/3.0.18", "AppleCoreMedia/1.0.0.21F79 (Apple TV; U; CPU OS 17_5)"))
    watched = f"{rng.uniform(1, 5):.1f}"
    # ffmpeg ends with a complaint where a segment is cut off by the end of what is watched.
    reading = ["-re", "-user_agent", agent, *options, "-i", film, "-t", watched]
    return Act(["ffmpeg", "-v", "fatal", *reading, "-c", "copy", "-f", "null", "-"])


def _downloader(rng: random.Random, address: str, segments: list[str]) -> Act:
    """A player with a loop of its own: playlist, then segments in turn on one connection, at some rate."""
    name = rng.choice(NAMES)
    pace = rng.choice((["--rate", "1/s"], ["--rate", "2/s"], ["--limit-rate", f"{rng.randint(60, 400)}k"], []))
    first = rng.randrange(len(segments))
    wanted = ["index.m3u8", *segments[first : first + rng.randint(1, 4)]]
    urls = [part for path in wanted for part in ("-o", "/dev/null", f"https://{name}/film0/{path}")]
    return Act(["curl", "-sk", "--max-time", "40", "--connect-to", f"::{address}:443", *pace, *urls])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    site = client.folder.parent / "server" / "site" / "film0"
    segments = sorted(path.name for path in site.iterdir() if path.suffix in (".ts", ".m4s"))
    # ffmpeg opens several connections.
    acts = [
        _player(rng, address) if rng.random() < 0.5 else _downloader(rng, address, segments) for _ in range(flows // 2)
    ]
    play(client, acts, rng, lanes=rng.randint(3, 5))


SCENARIO = Scenario(
    label="hls",
    packages=("nginx-light", "openssl", "curl", "ffmpeg"),
    pip=(),
    filter="tcp port 443",
    serve=serve,
    visit=visit,
)

"""RTP: voice and video calls, both ways or one, in eight codecs, sent by ffmpeg at both ends."""

import random

from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import script, visitors


def serve(host: Host, rng: random.Random) -> None:
    host.start(script("rtp_server"), ready=("tcp", 7000))


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    client.run(visitors("rtp", address, rng, flows), timeout=180, check=True)


SCENARIO = Scenario(
    label="rtp",
    packages=("ffmpeg",),
    pip=(),
    # Even source ports: RTCP has odd ones.
    filter="udp portrange 20000-39999 and udp[1] & 1 = 0",
    serve=serve,
    visit=visit,
)

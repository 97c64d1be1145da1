"""MQTT: sensors that publish and panels that subscribe at a mosquitto broker, in the clear and over TLS."""

import json
import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import certificate, visitors

ROOMS = ("kitchen", "hall", "boiler", "line-3/press", "roof/weather-station", "meter")
RETAINED = 24
CONFIG = """
user root
persistence false
allow_anonymous true
log_type error
max_queued_messages 2000
listener 1883
listener 8883
certfile {cert}
keyfile {key}
"""


def serve(host: Host, rng: random.Random) -> None:
    cert, key = certificate(host, rng)
    (host.folder / "mosquitto.conf").write_text(CONFIG.format(cert=cert, key=key))
    host.start(["mosquitto", "-c", str(host.folder / "mosquitto.conf")], ready=("tcp", 8883))
    # Retained state, which every subscriber gets at once; published where the capture does not see it.
    for number in range(RETAINED):
        topic, payload = f"state/{rng.choice(ROOMS)}/{number}", _reading(rng)
        host.run(["mosquitto_pub", "-r", "-t", topic, "-s"], stdin=payload, check=True)


def _reading(rng: random.Random) -> bytes:
    kind = rng.choice(("number", "json", "json", "binary"))
    if kind == "number":
        return f"{rng.gauss(20, 8):.{rng.randint(0, 3)}f}".encode()
    if kind == "binary":
        return rng.randbytes(int(10 ** rng.uniform(0.5, 3.6)))
    fields = {f"sensor_{number}": round(rng.gauss(20, 8), 2) for number in range(rng.randint(1, 25))}
    return json.dumps({"ts": 1_700_000_000 + rng.randrange(10**7), **fields}).encode()


def _options(rng: random.Random, address: str) -> list[str]:
    # mosquitto_pub draws its own identifier otherwise, unseeded.
    options = [
        "-h",
        address,
        "-i",
        f"dev-{rng.randrange(10 ** rng.randint(2, 12))}",
        "-q",
        str(rng.choice((0, 0, 1, 2))),
    ]
    options += ["-V", rng.choice(("311", "5")), "-k", str(rng.choice((15, 60)))]
    if rng.random() < 0.3:
        options += ["-u", "u" * rng.randint(3, 12), "-P", "p" * rng.randint(6, 32)]
    return options


def _act(rng: random.Random, address: str, authority: str) -> Act:
    options = _options(rng, address)
    if rng.random() < 0.35:
        options += ["-p", "8883", "--cafile", authority, "--insecure"]
    topic = f"{rng.choice(('home', 'plant', 'site/eu/7'))}/{rng.choice(ROOMS)}/{rng.randrange(100)}"
    kind = rng.choices(("publish", "lines", "repeat", "subscribe"), (3, 3, 3, 4))[0]
    if kind == "publish":
        return Act(["mosquitto_pub", *options, "-t", topic, "-s"], _reading(rng))
    if kind == "lines":
        lines = [_reading(rng).replace(b"\n", b" ") for _ in range(rng.randint(2, 20))]
        return Act(["mosquitto_pub", *options, "-t", topic, "-l"], b"\n".join(lines) + b"\n")
    if kind == "repeat":
        times, delay = rng.randint(2, 12), f"{rng.uniform(0.02, 0.25):.2f}"
        message = _reading(rng).replace(b"\0", b" ").decode(errors="replace")
        return Act(
            [
                "mosquitto_pub",
                *options,
                "-t",
                topic,
                "-m",
                message,
                "--repeat",
                str(times),
                "--repeat-delay",
                delay,
            ]
        )
    return Act(["mosquitto_sub", *options, "-t", "state/#", "-C", str(rng.randint(1, RETAINED))])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    authority = str(client.folder.parent / "server" / "cert.pem")
    by_library = round(flows * rng.uniform(0.2, 0.5))
    crowd = [_act(rng, address, authority) for _ in range(flows - by_library)]
    play(client, [Act(visitors("mqtt", address, rng, by_library)), *crowd], rng, lanes=rng.randint(3, 5))


SCENARIO = Scenario(
    label="mqtt",
    packages=("mosquitto", "mosquitto-clients", "openssl"),
    pip=("paho-mqtt==2.2.0",),
    filter="tcp port 1883 or tcp port 8883",
    serve=serve,
    visit=visit,
)

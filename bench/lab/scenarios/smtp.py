"""SMTP: mail with and without attachments, STARTTLS and several recipients, by swaks, curl and smtplib."""

import random
import textwrap

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario
from bench.lab.scripts import certificate, script, visitors

WORDS = (
    "dear all",
    "please find attached",
    "the report",
    "of last week",
    "kind regards",
    "meeting",
    "invoice",
    "order",
)
NAMES = ("alice", "bob.long-surname", "sales+eu", "no-reply", "x")
DOMAINS = ("example.com", "mail.branch-office.example.org", "b.example")


def serve(host: Host, rng: random.Random) -> None:
    server = script("smtp_server", rng.choice(DOMAINS), *certificate(host, rng))
    host.start(server, ready=("tcp", 587))


def _address(rng: random.Random) -> str:
    return f"{rng.choice(NAMES)}@{rng.choice(DOMAINS)}"


def _text(rng: random.Random) -> str:
    words = rng.choices(WORDS, k=int(10 ** rng.uniform(0.5, 2.7)))
    return "\r\n".join(textwrap.wrap(" ".join(words), rng.randint(40, 78)))


def _mail(client: Host, rng: random.Random, address: str, number: int) -> Act:
    port = str(rng.choice((25, 587)))
    recipients = [_address(rng) for _ in range(rng.choice((1, 1, 1, 2, 5, 10)))]
    if rng.random() < 0.5:
        letter = f"From: {_address(rng)}\r\nTo: {recipients[0]}\r\nSubject: {rng.choice(WORDS)}\r\n\r\n{_text(rng)}"
        command = ["curl", "-sSk", "--max-time", "40", f"smtp://{address}:{port}/{rng.choice(DOMAINS)}", "-T", "-"]
        command += rng.choice(([], ["--ssl-reqd"], ["--ssl"]))
        to = [part for name in recipients for part in ("--mail-rcpt", name)]
        return Act([*command, "--mail-from", _address(rng), *to], letter.encode())
    command = ["swaks", "--silent", "2", "--server", address, "--port", port, "--from", _address(rng)]
    command += ["--to", ",".join(recipients), "--ehlo", rng.choice(DOMAINS), "--body", _text(rng)]
    command += rng.choice(([], ["-tls"], ["--pipeline"]))
    if rng.random() < 0.3:
        attachment = client.folder / f"attachment{number}.bin"
        attachment.write_bytes(rng.randbytes(int(10 ** rng.uniform(2, 5))))
        command += ["--attach", f"@{attachment}"]
    return Act(command)


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    by_library = round(flows * rng.uniform(0.2, 0.5))
    crowd = [_mail(client, rng, address, number) for number in range(flows - by_library)]
    play(client, [Act(visitors("smtp", address, rng, by_library)), *crowd], rng, lanes=rng.randint(3, 5))


SCENARIO = Scenario(
    label="smtp",
    packages=("curl", "libnet-ssleay-perl", "openssl", "swaks"),
    pip=("aiosmtpd==1.4.6",),
    filter="tcp port 25 or tcp port 587",
    serve=serve,
    visit=visit,
)

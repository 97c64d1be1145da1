"""Programs that send mail with smtplib: `smtp_client.py ADDRESS SEED FLOWS`."""

import asyncio
import random
import smtplib
import ssl
import time
from email.message import EmailMessage

from visitors import attend

HOSTS = ("printer.example", "build-7.ci.example.org", "nas")


def letter(rng: random.Random) -> EmailMessage:
    """A notice of some length, now and then as HTML too or with a file."""
    message = EmailMessage()
    message["From"] = f"robot@{rng.choice(HOSTS)}"
    message["To"] = ", ".join(f"user{rng.randrange(1000)}@example.com" for _ in range(rng.choice((1, 1, 2, 4))))
    message["Subject"] = "notice " * rng.randint(1, 8)
    message.set_content("something happened, see below\n" * rng.randint(1, 60))
    if rng.random() < 0.3:
        message.add_alternative("<p>something <b>happened</b></p>" * rng.randint(1, 60), subtype="html")
    if rng.random() < 0.3:
        content = rng.randbytes(int(10 ** rng.uniform(2, 4.7)))
        message.add_attachment(content, maintype="application", subtype="pdf", filename="report.pdf")
    return message


def send(address: str, rng: random.Random) -> None:
    with smtplib.SMTP(address, rng.choice((25, 587)), local_hostname=rng.choice(HOSTS), timeout=20) as server:
        server.ehlo()
        if rng.random() < 0.5:
            server.starttls(context=ssl._create_unverified_context())
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            server.send_message(letter(rng))
            time.sleep(rng.uniform(0, 0.2))


async def visit(address: str, rng: random.Random) -> None:
    await asyncio.to_thread(send, address, rng)


attend(visit)

"""Devices that talk both ways through an MQTT broker, with Paho: `mqtt_client.py ADDRESS SEED FLOWS`."""

import asyncio
import random
import ssl
import threading

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from visitors import attend


def device(address: str, rng: random.Random) -> None:
    """Subscribe to its own commands and some of the state, publish, wait for the echo, leave."""
    name = f"paho-{rng.randrange(10 ** rng.randint(2, 10))}"
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=rng.choice((MQTTv311, MQTTv5)))
    tls = rng.random() < 0.3
    if tls:
        client.tls_set(cert_reqs=ssl.CERT_NONE)
        client.tls_insecure_set(True)
    if rng.random() < 0.3:
        client.will_set(f"gone/{name}", "x" * rng.randint(1, 60))
    subscribed, messages = threading.Event(), threading.Semaphore(0)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda *_: messages.release()
    client.connect(address, 8883 if tls else 1883, keepalive=rng.choice((10, 60)))
    client.loop_start()
    pause, quality = threading.Event(), rng.choice((0, 1, 2))
    topics = [(f"command/{name}", quality), *([("state/#", 0)] if rng.random() < 0.3 else [])]
    client.subscribe(topics)
    if not subscribed.wait(10):
        raise TimeoutError("the broker did not answer a subscription")
    for _ in range(rng.randint(1, 10)):
        client.publish(f"command/{name}", rng.randbytes(int(10 ** rng.uniform(0.5, 3.2))), qos=quality)
        if not messages.acquire(timeout=10):
            raise TimeoutError("the broker did not send a message back")
        pause.wait(rng.choice((0, rng.uniform(0, 0.3))))
    client.disconnect()
    client.loop_stop()


async def visit(address: str, rng: random.Random) -> None:
    await asyncio.to_thread(device, address, rng)


attend(visit)

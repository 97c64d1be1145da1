"""A program with a Redis connection: `redis_client.py ADDRESS SEED` runs one small job and ends."""

import random
import sys
import time

import redis


def cache(store: redis.Redis, rng: random.Random) -> None:
    """Look pages up, and write those that are missing."""
    for _ in range(rng.randint(2, 12)):
        key = f"page:{rng.randrange(200)}"
        if store.get(key) is None:
            store.set(key, rng.randbytes(int(10 ** rng.uniform(1, 4.2))), ex=60)
        time.sleep(rng.expovariate(20))


def counters(store: redis.Redis, rng: random.Random) -> None:
    """Count events, several in one pipeline."""
    for _ in range(rng.randint(1, 6)):
        pipeline = store.pipeline(transaction=rng.random() < 0.5)
        for _ in range(rng.randint(1, 10)):
            pipeline.hincrby(f"stats:{rng.randrange(20)}", f"field{rng.randrange(50)}", rng.randrange(1000))
        pipeline.execute()
        time.sleep(rng.expovariate(8))


def queue(store: redis.Redis, rng: random.Random) -> None:
    """Push jobs and take them out again, waiting for what is not there."""
    for _ in range(rng.randint(1, 6)):
        store.lpush("jobs", rng.randbytes(rng.randint(10, 800)))
        time.sleep(rng.expovariate(15))
        store.brpop(["jobs"], timeout=0.2)


def listen(store: redis.Redis, rng: random.Random) -> None:
    """Subscribe to a channel and publish to it; the two are connections of their own."""
    subscription = store.pubsub()
    subscription.subscribe(f"news:{rng.randrange(5)}")
    for _ in range(rng.randint(2, 8)):
        store.publish(f"news:{rng.randrange(5)}", rng.randbytes(rng.randint(5, 300)))
        subscription.get_message(timeout=rng.uniform(0.05, 0.3))


def main() -> None:
    """One job, drawn by the seed."""
    rng = random.Random(int(sys.argv[2]))
    with redis.Redis(sys.argv[1], protocol=rng.choice((2, 3)), socket_timeout=20) as store:
        rng.choice((cache, cache, counters, queue, listen))(store, rng)


if __name__ == "__main__":
    main()

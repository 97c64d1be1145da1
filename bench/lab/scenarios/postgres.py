"""PostgreSQL: queries, scripts, loads and dumps, by psql, pgbench and pg_dump, with and without TLS."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario

BIN = "/usr/lib/postgresql/15/bin"
READINGS = 400
QUERIES = (
    "SELECT count(*) FROM reading",
    "SELECT * FROM reading WHERE sensor = {n} LIMIT {m}",
    "SELECT sensor, avg(value) FROM reading GROUP BY sensor ORDER BY sensor LIMIT {m}",
    "SELECT * FROM reading ORDER BY id DESC LIMIT {m}",
    "SELECT version()",
    "INSERT INTO reading (sensor, value, note) VALUES ({n}, {m}, repeat('note ', {n})) RETURNING id",
    "UPDATE reading SET value = value + 1 WHERE id = {n}",
    "SELECT relname, relpages FROM pg_class LIMIT {m}",
    "EXPLAIN SELECT * FROM reading JOIN reading AS other USING (sensor)",
    "SELECT now(), current_user",
)


def serve(host: Host, rng: random.Random) -> None:
    data = host.folder / "data"
    owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    method = rng.choice(("trust", "scram-sha-256", "md5"))
    (host.folder / "password").write_text("edgelab")
    initdb = [
        f"{BIN}/initdb",
        "-D",
        str(data),
        "-U",
        "gateway",
        "-A",
        method,
        "--pwfile",
        "password",
        "--no-sync",
    ]
    host.run([*owner, *initdb, "-E", "UTF8"], check=True)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all 0.0.0.0/0 {method}\n")
    settings = [f"listen_addresses={host.address}", f"unix_socket_directories={host.folder}", "fsync=off"]
    settings += ["shared_buffers=16MB", "max_connections=60", f"password_encryption={_encryption(method)}"]
    if rng.random() < 0.6:
        request = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=db.example"]
        key = [str(data / "server.key"), "-out", str(data / "server.crt")]
        host.run([*owner, *request, "-keyout", *key], check=True)
        settings.append("ssl=on")
    options = [part for setting in settings for part in ("-c", setting)]
    host.start([*owner, f"{BIN}/postgres", "-D", str(data), *options], ready=("tcp", 5432))
    script = (
        "CREATE TABLE reading (id serial PRIMARY KEY, sensor int, value float, note text);"
        f"INSERT INTO reading (sensor, value, note) SELECT random() * 40, random(),"
        f" repeat('x', (random() * {rng.choice((10, 100, 400))})::int) FROM generate_series(1, {READINGS});"
    )
    host.run(_psql(_login(host.address), "-c", script), check=True)
    host.run(["pgbench", "-i", "-q", "-s", "1", _login(host.address)], check=True)


def _encryption(method: str) -> str:
    return "md5" if method == "md5" else "scram-sha-256"


def _login(address: str, sslmode: str = "prefer") -> str:
    return f"host={address} user=gateway password=edgelab dbname=postgres sslmode={sslmode} gssencmode=disable"


def _psql(login: str, *arguments: str) -> list[str]:
    return ["psql", "-X", "-q", *arguments, login]


def _query(rng: random.Random) -> str:
    return rng.choice(QUERIES).format(n=rng.randint(1, 40), m=rng.choice((1, 5, 20, 100, 400)))


def _client(rng: random.Random, address: str) -> Act:
    login = _login(address, rng.choice(("prefer", "prefer", "disable")))
    kind = rng.choices(("query", "script", "pgbench", "dump", "copy"), (4, 4, 3, 1, 1))[0]
    if kind == "query":
        return Act(_psql(login, "-c", _query(rng)))
    if kind == "script":
        lines = []
        for _ in range(rng.randint(2, 7)):
            lines += [_query(rng) + ";", rng.choice(("", "", f"\\! sleep {rng.uniform(0.02, 0.6):.2f}"))]
        if rng.random() < 0.4:
            lines = ["BEGIN;", *lines, "COMMIT;"]
        return Act(_psql(login), "\n".join(lines).encode())
    if kind == "copy":
        rows = "\n".join(f"{rng.randrange(40)},{rng.random():.4f},loaded" for _ in range(rng.randint(10, 800)))
        copy = "\\copy reading (sensor, value, note) FROM STDIN WITH (FORMAT csv)"
        return Act(_psql(login, "-c", copy), rows.encode() + b"\n")
    if kind == "dump":
        return Act(["pg_dump", "-t", "reading", *rng.choice(([], ["--schema-only"], ["--inserts"])), "-d", login])
    load = ["-n", "-c", "1", "-M", rng.choice(("simple", "extended", "prepared"))]
    # The full transaction takes seven round trips and a lock that all clients want.
    load += rng.choice((["-S", "-t", str(rng.randint(1, 8))], ["-N", "-t", str(rng.randint(1, 2))], ["-t", "1"]))
    if rng.random() < 0.5:
        load += ["-R", str(rng.randint(3, 20))]
    return Act(["pgbench", *load, login])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    acts = [_client(rng, address) for _ in range(flows)]
    play(client, acts, rng, lanes=rng.randint(4, 6))


SCENARIO = Scenario(
    label="postgres",
    packages=("postgresql", "postgresql-client", "postgresql-contrib", "openssl"),
    pip=(),
    filter="tcp port 5432",
    serve=serve,
    visit=visit,
)

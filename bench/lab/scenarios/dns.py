"""DNS lookups over UDP and TCP: dig, nslookup and the C library's resolver, of unbound or dnsmasq."""

import random

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario

NAMES = 60
WORDS = (
    "www",
    "api",
    "cdn",
    "static",
    "img",
    "mail",
    "push",
    "telemetry",
    "time",
    "sensor-4711",
    "eu-west-1",
)
ZONES = (
    "example",
    "example.com",
    "plant-7.example.org",
    "svc.cluster.example",
    "d3a9x7f0k2.cloud-provider.example.net",
)

UNBOUND = """server:
  interface: 0.0.0.0
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  username: ''
  chroot: ''
  directory: '{folder}'
  pidfile: '{folder}/pid'
  use-syslog: no
  minimal-responses: {minimal}
  {zones}
  {data}
remote-control:
  control-enable: no
"""


def _names(rng: random.Random) -> list[str]:
    """Names of the session's zones, of one to three labels below the zone."""
    return sorted({".".join((*rng.sample(WORDS, rng.randint(1, 3)), rng.choice(ZONES))) for _ in range(NAMES)})


def _address(rng: random.Random) -> str:
    return f"192.0.2.{rng.randint(1, 254)}"


def _records(rng: random.Random, names: list[str]) -> list[tuple[str, str, str]]:
    """(name, type, value) of a zone such as providers have: several addresses, long texts, services."""
    records = []
    for name in names:
        records += [(name, "A", _address(rng)) for _ in range(rng.choice((1, 1, 2, 4, 8)))]
        if rng.random() < 0.6:
            values = [f"2001:db8::{rng.randrange(1, 65535):x}" for _ in range(rng.choice((1, 2, 4)))]
            records += [(name, "AAAA", value) for value in values]
        if rng.random() < 0.4:
            for _ in range(rng.choice((1, 2, 12))):
                records.append((name, "TXT", "v=" + rng.randbytes(rng.randint(8, 110)).hex()))
        if rng.random() < 0.3:
            records += [(name, "MX", f"{10 * n} mx{n}.{name}") for n in range(1, rng.randint(2, 5))]
        if rng.random() < 0.2:
            records += [(name, "SRV", f"0 5 5060 sip{n}.{name}") for n in range(rng.randint(1, 4))]
    return records


def _dnsmasq_line(name: str, kind: str, value: str) -> str:
    if kind in ("A", "AAAA"):
        return f"host-record={name},{value}"
    if kind == "TXT":
        return f"txt-record={name},{value}"
    if kind == "MX":
        preference, target = value.split()
        return f"mx-host={name},{target},{preference}"
    priority, weight, port, target = value.split()
    return f"srv-host={name},{target},{port},{priority},{weight}"


def _unbound_line(name: str, kind: str, value: str) -> str:
    quoted = f'"{value}"' if kind == "TXT" else value
    return f"local-data: '{name}. 300 IN {kind} {quoted}'"


def serve(host: Host, rng: random.Random) -> None:
    names = _names(rng)
    (host.folder / "names").write_text("\n".join(names))
    records = _records(rng, names)
    config = host.folder / "server.conf"
    if rng.random() < 0.5:
        config.write_text("\n".join(_dnsmasq_line(*record) for record in records) + "\n")
        options = ["--no-resolv", "--no-hosts", "--user=root", "--pid-file", f"--conf-file={config}"]
        host.start(["dnsmasq", "--keep-in-foreground", *options], ready=("udp", 53))
        return
    data = "\n  ".join(_unbound_line(*record) for record in records)
    zones = "\n  ".join(f"local-zone: '{zone}.' static" for zone in ZONES)
    config.write_text(UNBOUND.format(folder=host.folder, minimal=rng.choice(("yes", "no")), zones=zones, data=data))
    host.start(["unbound", "-c", str(config)], ready=("udp", 53))


def _dig(rng: random.Random, address: str, names: list[str]) -> Act:
    options = ["+tries=2", "+time=4", "+norecurse" if rng.random() < 0.1 else "+recurse"]
    options += rng.choice((["+dnssec"], ["+noedns"], [f"+bufsize={rng.choice((512, 1232, 4096))}"], ["+nocookie"], []))
    if rng.random() < 0.3:
        options += ["+tcp", "+keepopen"]
    queries = []
    for _ in range(rng.choice((1, 1, 2, 4))):
        unknown = rng.random() < 0.1
        queries.append(f"nx{rng.randrange(999)}.example" if unknown else rng.choice(names))
        queries.append(rng.choice(("A", "A", "A", "AAAA", "AAAA", "TXT", "TXT", "MX", "SRV", "ANY")))
    return Act(["dig", f"@{address}", *options, *queries])


def _resolver(rng: random.Random, client: Host, names: list[str]) -> Act:
    """The C library asks for both address families at once, on one socket."""
    bound = f"mount --bind {client.folder}/resolv.conf /etc/resolv.conf"
    lookups = "; ".join(f"getent ahosts {rng.choice(names)}" for _ in range(rng.choice((1, 1, 2))))
    return Act(["unshare", "-m", "sh", "-c", f"{bound} && ({lookups}; true)"])


def _nslookup(rng: random.Random, address: str, names: list[str]) -> Act:
    script = "\n".join([f"server {address}", *rng.choices(names, k=rng.randint(1, 3)), "exit"])
    return Act(["nslookup"], script.encode())


def _load(rng: random.Random, address: str, names: list[str]) -> Act:
    """dnsperf keeps one socket for a few queries, as a forwarding resolver does."""
    queries = [f"{rng.choice(names)} {rng.choice(('A', 'AAAA', 'TXT'))}" for _ in range(rng.randint(3, 16))]
    mode = ["-m", rng.choice(("udp", "udp", "tcp"))]
    pace = ["-Q", str(rng.randint(2, 40)), "-n", "1", "-c", "1", "-T", "1"]
    return Act(["dnsperf", "-s", address, *mode, *pace], ("\n".join(queries) + "\n").encode())


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    names = (client.folder.parent / "server" / "names").read_text().split()
    timing = rng.choice(("", "options single-request\n", "options edns0\n"))
    (client.folder / "resolv.conf").write_text(f"nameserver {address}\n{timing}")
    acts = []
    for _ in range(flows * 4 // 5):
        kind = rng.choices(("dig", "resolver", "nslookup", "load"), (5, 3, 1, 2))[0]
        if kind == "dig":
            acts.append(_dig(rng, address, names))
        elif kind == "resolver":
            acts.append(_resolver(rng, client, names))
        elif kind == "nslookup":
            acts.append(_nslookup(rng, address, names))
        else:
            acts.append(_load(rng, address, names))
    play(client, acts, rng, lanes=rng.randint(2, 4))


SCENARIO = Scenario(
    label="dns",
    packages=("dnsmasq", "unbound", "bind9-dnsutils", "dnsperf"),
    pip=(),
    filter="port 53",
    serve=serve,
    visit=visit,
)

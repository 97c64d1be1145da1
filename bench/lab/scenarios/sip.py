"""SIP: calls, registrations, messages and keep-alives between SIPp agents, over UDP and TCP."""

import random
from pathlib import Path

from bench.lab.crowd import Act, play
from bench.lab.scenario import Host, Scenario

AGENTS = (
    "Linphone/5.2 (belle-sip/5.2)",
    "MicroSIP/3.21",
    "Cisco-CP8841/12.8",
    "Yealink SIP-T46S 66.85.0.5",
    "baresip v1.0",
)
CODECS = (
    "0 PCMU/8000",
    "8 PCMA/8000",
    "9 G722/8000",
    "18 G729/8000",
    "96 opus/48000/2",
    "97 speex/16000",
    "98 iLBC/8000",
)
REPLIES = (("180 Ringing",), ("100 Trying", "180 Ringing"), ("183 Session Progress",), ())

# The tag is the answering side's; SIPp fills in what stands in brackets.
REPLY = """<send><![CDATA[
SIP/2.0 {status}
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]{tag}
[last_Call-ID:]
[last_CSeq:]
Server: {agent}
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
{extra}
]]></send>
"""
REQUEST = """<send retrans="500"><![CDATA[
{method} sip:{callee}@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: {name}<sip:{caller}@{domain}>;tag=[call_number]{tag}
To: <sip:{callee}@{domain}>{peer}
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:{caller}@[local_ip]:[local_port];transport=[transport]>
Max-Forwards: 70
User-Agent: {agent}
{extra}
]]></send>
"""


def _scenario(name: str, steps: list[str]) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n{"".join(steps)}</scenario>\n'


def _sdp(rng: random.Random) -> str:
    codecs = rng.sample(CODECS, rng.randint(1, len(CODECS)))
    lines = ["v=0", "o=- 1 1 IN IP4 [local_ip]", "s=call", "c=IN IP4 [local_ip]", "t=0 0"]
    lines.append(f"m=audio {rng.randrange(10000, 60000, 2)} RTP/AVP {' '.join(codec.split()[0] for codec in codecs)}")
    lines += [f"a=rtpmap:{codec}" for codec in codecs]
    lines += rng.sample(
        ("a=sendrecv", "a=ptime:20", "a=rtcp-mux", f"a=ice-ufrag:{rng.randbytes(4).hex()}"), rng.randint(0, 4)
    )
    return "Content-Type: application/sdp\nContent-Length: [len]\n\n" + "\n".join(lines)


def _reply(rng: random.Random, status: str, extra: str = "Content-Length: 0\n") -> str:
    return REPLY.format(status=status, tag=rng.randrange(10**6), agent=rng.choice(AGENTS), extra=extra)


def _answering(rng: random.Random) -> str:
    """A user agent that takes any call, message or registration."""
    short = "".join(
        f'<recv request="{method}" optional="true" next="{method}"/>\n' for method in ("OPTIONS", "REGISTER", "MESSAGE")
    )
    ringing = [_reply(rng, status) for status in rng.choice(REPLIES)]
    allowed = "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, MESSAGE\nContent-Length: 0\n"
    ends = [
        f'<label id="{method}"/>\n{_reply(rng, "200 OK", extra)}<nop next="start"/>\n'
        for method, extra in (
            ("OPTIONS", allowed),
            ("REGISTER", "Expires: 3600\nContent-Length: 0\n"),
            ("MESSAGE", "Content-Length: 0\n"),
        )
    ]
    pickup = f'<pause milliseconds="{rng.randint(20, 400)}"/>\n'
    call = [
        *ringing,
        pickup,
        _reply(rng, "200 OK", _sdp(rng)),
        '<recv request="ACK"/>\n<recv request="BYE"/>\n',
    ]
    # A user may send several requests, and ends without a word: the answering side waits on.
    steps = [
        '<label id="start"/>\n',
        short,
        '<recv request="INVITE"/>\n',
        *call,
        _reply(rng, "200 OK"),
        '<nop next="end"/>\n',
        *ends,
    ]
    return _scenario("answers", [*steps, '<label id="end"/>\n'])


def serve(host: Host, rng: random.Random) -> None:
    for transport, ready in (("u1", "udp"), ("t1", "tcp")):
        path = host.folder / f"answers-{transport}.xml"
        path.write_text(_answering(rng))
        command = ["sipp", "-sf", str(path), "-i", host.address, "-p", "5060", "-t", transport, "-nostdin"]
        host.start([*command, "-skip_rlimit"], ready=(ready, 5060))


def _asking(rng: random.Random) -> str:
    """One kind of exchange of one user: a call, with what happens in it, or a request and its answer."""
    user = {
        "name": rng.choice(("", '"Alice" ', '"Front desk, second floor" ', '"+49 30 1234567" ')),
        "caller": rng.choice(("alice", f"{rng.randrange(100, 10**9)}", "reception.second-floor")),
        "callee": rng.choice(("bob", f"{rng.randrange(100, 10**9)}", "voicemail")),
        "domain": rng.choice(("example.com", "[remote_ip]", "pbx.branch-office.example.org")),
        "agent": rng.choice(AGENTS),
        "tag": rng.randrange(10**6),
    }

    def request(method: str, number: int, extra: str = "Content-Length: 0\n") -> str:
        peer = "[peer_tag_param]" if method in ("ACK", "BYE") else ""
        text = REQUEST.format(method=method, number=number, extra=extra, peer=peer, **user)
        return text.replace(' retrans="500"', "") if method == "ACK" else text

    kind = rng.choices(("INVITE", "REGISTER", "MESSAGE", "OPTIONS"), (6, 2, 2, 1))[0]
    if kind == "INVITE":
        early = "".join(f'<recv response="{code}" optional="true"/>\n' for code in (100, 180, 183))
        talk = f'<pause milliseconds="{rng.randint(50, 1500)}"/>\n'
        answered = [early, '<recv response="200"/>\n', request("ACK", 1), talk]
        return _scenario(
            "call",
            [request("INVITE", 1, _sdp(rng)), *answered, request("BYE", 2), '<recv response="200"/>\n'],
        )
    steps = []
    for number in range(1, rng.randint(1, 4) + 1):
        text = f"Content-Type: text/plain\nContent-Length: [len]\n\n{'hello there ' * rng.randint(1, 50)}"
        steps += [
            request(kind, number, text if kind == "MESSAGE" else "Content-Length: 0\n"),
            '<recv response="200"/>\n',
        ]
        steps.append(f'<pause milliseconds="{rng.randint(10, 500)}"/>\n')
    return _scenario(kind.lower(), steps)


def _calls(client: Host, rng: random.Random, address: str, number: int, calls: int) -> Act:
    path: Path = client.folder / f"asks{number}.xml"
    path.write_text(_asking(rng))
    # One socket for each call makes it a biflow of its own.
    transport = rng.choice(("un", "un", "tn"))
    command = ["sipp", "-sf", str(path), f"{address}:5060", "-i", client.address, "-t", transport, "-nostdin"]
    pace = ["-m", str(calls), "-r", str(rng.randint(1, 5)), "-timeout", "30", "-skip_rlimit"]
    return Act([*command, *pace, "-p", str(20000 + 50 * number)])


def visit(client: Host, address: str, rng: random.Random, flows: int) -> None:
    acts = [_calls(client, rng, address, number, rng.randint(1, 2)) for number in range(flows * 2 // 3)]
    play(client, acts, rng, lanes=rng.randint(3, 5))


SCENARIO = Scenario(
    label="sip",
    packages=("sip-tester",),
    pip=(),
    filter="udp port 5060 or tcp port 5060",
    serve=serve,
    visit=visit,
)

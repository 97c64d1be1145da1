"""Servers that more than one scenario starts: nginx with TLS, and sshd."""

import random

from bench.lab.scenario import Host
from bench.lab.scripts import certificate

NAMES = (
    "a.example",
    "www.example.org",
    "shop.example.com",
    "news.daily-paper.example",
    "static.assets.cdn-edge-7.example.net",
    "media.video-on-demand.eu-west.provider.example",
)

NGINX = """
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  client_body_temp_path {folder}/body;
  client_max_body_size 8m;
  gzip {gzip};
  gzip_types text/css application/javascript application/json;
  keepalive_timeout {keepalive};
  server {{
    listen 443 ssl{http2};
    root {folder}/site;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    ssl_protocols {protocols};
    ssl_session_tickets {tickets};
    ssl_buffer_size {buffer};
    location /upload {{ return 204; }}
  }}
}}
"""


def nginx(host: Host, rng: random.Random, *, http2: bool) -> None:
    """Serve `site` of the host's folder over HTTPS; certificate and TLS settings differ between sessions."""
    certificate(host, rng)
    config = NGINX.format(
        folder=host.folder,
        http2=" http2" if http2 else "",
        gzip=rng.choice(("on", "off")),
        keepalive=rng.choice((5, 30, 75)),
        protocols=rng.choice(("TLSv1.2", "TLSv1.3", "TLSv1.2 TLSv1.3", "TLSv1.2 TLSv1.3")),
        tickets=rng.choice(("on", "off")),
        buffer=rng.choice(("4k", "16k")),
    )
    (host.folder / "nginx.conf").write_text(config)
    host.start(
        ["nginx", "-c", str(host.folder / "nginx.conf"), "-g", "daemon off;"],
        ready=("tcp", 443),
    )


SSHD = """
Port 22
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 200
SetEnv HISTFILE=/dev/null
Compression {compression}
RekeyLimit {rekey}
Subsystem sftp /usr/lib/openssh/sftp-server
"""


def sshd(host: Host, rng: random.Random) -> None:
    """An OpenSSH server; `client_key` of its folder logs in (see `ssh_options`)."""
    kinds = (["ed25519"], ["ecdsa"], ["rsa", "-b", "2048"])
    for name in ("host_key", "client_key"):
        kind = rng.choice(kinds)
        host.run(["ssh-keygen", "-q", "-N", "", "-f", name, "-t", *kind], check=True)
    (host.folder / "authorized_keys").write_bytes((host.folder / "client_key.pub").read_bytes())
    config = SSHD.format(
        folder=host.folder, compression=rng.choice(("yes", "no")), rekey=rng.choice(("default none", "1M"))
    )
    (host.folder / "sshd_config").write_text(config)
    host.run(["mkdir", "-p", "/run/sshd"], check=True)
    host.start(["/usr/sbin/sshd", "-D", "-e", "-f", str(host.folder / "sshd_config")], ready=("tcp", 22))


def ssh_options(client: Host, rng: random.Random) -> list[str]:
    """Options of one ssh, scp or sftp call: the session's key, and some of the algorithms in use."""
    ciphers = ("chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes128-ctr")
    exchanges = ("sntrup761x25519-sha512@openssh.com", "curve25519-sha256", "ecdh-sha2-nistp256")
    macs = ("umac-64-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512")
    options = {
        "IdentityFile": str(client.folder.parent / "server" / "client_key"),
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "KexAlgorithms": ",".join(rng.sample(exchanges, rng.randint(1, len(exchanges)))),
        "Ciphers": rng.choice(ciphers),
        "MACs": rng.choice(macs),
        "Compression": rng.choice(("yes", "no", "no")),
    }
    return ["-F", "none", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]

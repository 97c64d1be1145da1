"""What is in the package of one target: the executable, what runs it, what describes it, and what dpkg asks for."""

import gzip
import hashlib
import re
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path, PurePosixPath

from edgegen.bundle import MANIFEST, SIGNATURE, Bundle
from edgegen.errors import EdgegenError
from edgegen.package.deb import Member, Members, folders
from edgegen.package.manual import help_of, manual
from edgegen.package.origin import Origin

# target -> what Debian calls its architecture
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7": "armhf"}
# Where the engine needs more than every processor of the architecture has.
_NEEDS = {"amd64": "It needs a processor with AVX2.", "armhf": "It needs a processor with NEON and VFPv4."}
TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Facts:
    """name: of the package, after `edgegen-`; port: of its socket"""

    name: str
    target: str
    origin: Origin
    port: int


def contents(bundle: Bundle, executable: Path, facts: Facts) -> tuple[Members, Members]:
    """Control files and files of the package."""
    name, origin = facts.name, facts.origin
    architecture = ARCHITECTURES[facts.target]
    manifest = (bundle.path / MANIFEST).read_bytes()
    program = executable.read_bytes()
    help_text = help_of(program)
    if help_text is None:
        raise EdgegenError(f"{executable} has no help text of edgegen in it: export the bundle again")
    fields = {
        "name": name,
        "version": origin.version,
        "architecture": architecture,
        "maintainer": origin.maintainer,
        "date": format_datetime(origin.time),
        "digest": hashlib.sha256(manifest).hexdigest(),
        "needs": _NEEDS.get(architecture, "It runs on any such processor."),
        "port": str(facts.port),
        "variants": re.sub(r"[^\w, ]", "?", ", ".join(map(str, bundle.manifest.targets[facts.target].variants))),
    }

    def filled(template: str) -> bytes:
        return (TEMPLATES / template).read_text("utf-8").format_map(fields).encode()

    # A version without a revision is that of a package whose upstream is Debian, and then this is its only changelog.
    changelog = "changelog.Debian.gz" if "-" in origin.version else "changelog.gz"
    documents, units = f"usr/share/doc/edgegen-{name}", "usr/lib/systemd/system"
    files = {
        f"usr/bin/edgegen-{name}": Member(program, 0o755),
        f"etc/default/edgegen-{name}": Member(filled("default")),
        f"{units}/edgegen-{name}.socket": Member(filled("socket")),
        f"{units}/edgegen-{name}@.service": Member(filled("service")),
        f"usr/share/edgegen/{name}/{MANIFEST}": Member(manifest),
        f"usr/share/man/man1/edgegen-{name}.1.gz": Member(_gzip(manual(name, help_text, origin).encode())),
        f"usr/share/lintian/overrides/edgegen-{name}": Member(filled("lintian-overrides")),
        f"{documents}/copyright": Member(filled("copyright")),
        f"{documents}/{changelog}": Member(_gzip(filled("changelog"))),
    }
    # Where the executable looks for its signature.
    signature = f"{bundle.manifest.targets[facts.target].executable}.sig"
    if signature in bundle.files:
        files[f"usr/bin/edgegen-{name}.sig"] = Member((bundle.path / signature).read_bytes())
    if (bundle.path / SIGNATURE).exists():
        files[f"usr/share/edgegen/{name}/{SIGNATURE}"] = Member((bundle.path / SIGNATURE).read_bytes())
    if "card.md" in bundle.files:
        files[f"{documents}/card.md"] = Member((bundle.path / "card.md").read_bytes())
    data = {PurePosixPath(path): member for path, member in files.items()}
    # By Debian's policy: whole kilobytes of each file, one for each folder.
    kilobytes = sum(-(-len(member.data) // 1024) for member in data.values()) + len(folders(data))
    fields["kilobytes"] = str(kilobytes)
    control = {
        "control": Member(filled("control")),
        "conffiles": Member(f"/etc/default/edgegen-{name}\n".encode()),
        "md5sums": Member(_md5sums(data)),
        **{script: Member(filled(script), 0o755) for script in ("postinst", "prerm", "postrm")},
    }
    return {PurePosixPath(path): member for path, member in control.items()}, data


def _md5sums(data: Members) -> bytes:
    """Of all files but those that an operator may change."""
    unchanging = sorted(path for path in data if path.parts[0] != "etc")
    lines = [f"{hashlib.md5(data[path].data, usedforsecurity=False).hexdigest()}  {path}\n" for path in unchanging]
    return "".join(lines).encode()


def _gzip(text: bytes) -> bytes:
    return gzip.compress(text, 9, mtime=0)

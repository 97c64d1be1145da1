"""The generators: one file, one model."""

from typing import Any

from edgegen.codec import Codec
from edgegen.errors import EdgegenError, UsageError
from edgegen.models import diffusion, llama, mamba
from edgegen.models.base import Config, Generator

__all__ = ["ARCHS", "Config", "Generator", "configure", "create", "from_json"]

# arch -> its sizes, its configuration, its model
ARCHS: dict[str, tuple[dict[str, dict[str, int]], Any, Any]] = {
    "llama": (llama.SIZES, llama.LlamaConfig, llama.Llama),
    "mamba": (mamba.SIZES, mamba.MambaConfig, mamba.Mamba),
    "diffusion": (diffusion.SIZES, diffusion.DiffusionConfig, diffusion.Diffusion),
}


def configure(arch: str, size: str, codec: Codec) -> Config:
    """The configuration of a named size for the sequences of `codec`."""
    if arch not in ARCHS:
        raise UsageError(f"architecture {arch!r} is unknown: choose one of {', '.join(ARCHS)}")
    sizes, config, _ = ARCHS[arch]
    if size not in sizes:
        raise UsageError(f"size {size!r} of {arch} is unknown: choose one of {', '.join(sizes)}")
    made: Config = config(size=size, **sizes[size], **config.codec_sizes(codec))
    return made


def create(config: Config) -> Generator:
    """A model with fresh random weights (torch's global generator)."""
    model: Generator = ARCHS[config.arch][2](config)
    return model


def from_json(data: Any) -> Config:
    """The configuration that `Config.to_json` wrote; EdgegenError where `data` is not one."""
    try:
        config: Config = ARCHS[data["arch"]][1](**data)
        config.check()
    except (KeyError, TypeError, ValueError) as error:
        raise EdgegenError(f"the model's configuration is damaged ({error}): train it again") from error
    return config

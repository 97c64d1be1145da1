"""Flows drawn as images: a diffusion of the kind that others make of traffic, to stand beside edgegen's.

    python bench/netdiffus.py FLOWS --max-packets 10 --steps 1000 --steps 8 -o FOLDER
    python bench/evaluation.py FLOWS --synthetic FOLDER/netdiffus-1000.parquet -o bench/results/...

After NetDiffus (Sivaroopan et al. 2024, arXiv:2310.04429): the series of signed payload lengths becomes a Gramian
angular summation field, an image in which pixel (i, j) is the cosine of the sum of two angles; a U-Net learns to
foretell the noise in such images, by squared error, over 1,000 levels of noise; and the diagonal of what it paints is
read back as lengths. The images are as small as the flows are short, and the U-Net about as large as edgegen's models,
so that all of it can be trained on a processor. Fewer steps than 1,000 are DDIM's. Learns from the same training flows
as `edgegen train`, writes a table of generated flows for each number of steps, and `netdiffus.json` on what they took.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from rich.progress import track
from torch import Tensor

import machine
from edgegen.codec import Codec
from edgegen.evaluate.arrays import Arrays, arrays
from edgegen.flow import Flow
from edgegen.readers import read_flows
from edgegen.split import split
from edgegen.writers import write_flows
from publish import publish

LONGEST = Codec.max_pl  # bytes: longer packets count as this long
LEVELS = 1000
CHANNELS = (16, 48, 96)  # two halvings: sides are multiples of four
BATCH = 64
LEARNING_RATE = 5e-4
DECAY = 0.999  # of the average of the weights, which paints


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flows", type=Path)
    parser.add_argument("--max-packets", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--steps", type=int, action="append", help="noise levels gone through, 1000 at most")
    parser.add_argument("--per-label", type=int, default=400, help="flows to make of each label")
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the tables")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    facts = machine.facts("edgegen", "torch", "diffusers", "numpy")
    torch.manual_seed(0)
    training = split(read_flows(options.flows)).train
    labels = sorted({flow.label for flow in training})
    seen = arrays(training, labels, options.max_packets, times=False)
    net = network(options.max_packets, len(labels))
    started = time.process_time()
    fit(net, images(series_of(seen)), torch.from_numpy(seen.label), options.epochs)
    result: dict[str, Any] = {
        "data": options.flows.name,
        "training": len(training),
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "epochs": options.epochs,
        "training_cpu_seconds": time.process_time() - started,
        "rows": [],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    wanted = torch.arange(len(labels)).repeat_interleave(options.per_label)
    for steps in options.steps or [LEVELS]:
        started = time.process_time()
        painted = paint(net, wanted, steps)
        seconds = time.process_time() - started
        made = series_in(painted, options.max_packets)
        flows = [flow_of(row, labels[label]) for row, label in zip(made.tolist(), wanted.tolist(), strict=True)]
        write_flows(flows, options.output / f"netdiffus-{steps}.parquet")
        result["rows"].append({"steps": steps, "flows": len(flows), "cpu_ms_a_flow": 1000 * seconds / len(flows)})
    result["machine"] = facts
    publish(result, options.output / "netdiffus.json")


def series_of(flows: Arrays) -> Tensor:
    """(n, packets) payload lengths, those to the client negative, in 0..1; absent packets have length 0."""
    signed = torch.from_numpy(flows.pl * (1 - 2 * flows.dir))
    return (signed.clamp(-LONGEST, LONGEST) / LONGEST + 1) / 2


def flow_of(series: list[float], label: str) -> Flow:
    """The flow that a series says; packets of length 0 at its end are absent."""
    signed = [round((2 * value - 1) * LONGEST) for value in series]
    while len(signed) > 1 and signed[-1] == 0:
        signed.pop()
    back = [int(value < 0) for value in signed]
    return Flow(label, [abs(value) for value in signed], [0, *back[1:]], [0.0] * len(signed))


def images(series: Tensor) -> Tensor:
    """(n, 1, side, side) Gramian angular summation fields in -1..1 of series (n, packets), zeros on the margin."""
    cosine, sine = series, (1 - series**2).clamp(min=0).sqrt()
    field = cosine[:, :, None] * cosine[:, None, :] - sine[:, :, None] * sine[:, None, :]
    margin = -series.shape[1] % 4
    return F.pad(field[:, None], (0, margin, 0, margin))


def series_in(painted: Tensor, packets: int) -> Tensor:
    """(n, packets) in 0..1: the diagonal has the cosines of twice the angles."""
    diagonal = painted[:, 0].diagonal(dim1=1, dim2=2)[:, :packets]
    return ((diagonal.clamp(-1, 1) + 1) / 2).sqrt()


def network(packets: int, labels: int) -> UNet2DModel:
    """A U-Net on images of `packets` rows, told the label."""
    return UNet2DModel(
        sample_size=packets + -packets % 4,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D",) * len(CHANNELS),
        up_block_types=("UpBlock2D",) * len(CHANNELS),
        norm_num_groups=8,
        num_class_embeds=labels,
    )


def fit(net: UNet2DModel, clean: Tensor, labels: Tensor, epochs: int) -> None:
    """Squared error of the foretold noise, its level drawn anew for each image."""
    noisy = DDPMScheduler(LEVELS, beta_schedule="linear")
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    average = EMAModel(net.parameters(), decay=DECAY)
    for _ in track(range(epochs), "training", disable=not sys.stderr.isatty()):
        for rows in torch.randperm(len(clean)).split(BATCH):
            noise, level = torch.randn_like(clean[rows]), torch.randint(LEVELS, (len(rows),))
            found = net(noisy.add_noise(clean[rows], noise, level), level, labels[rows]).sample
            loss = F.mse_loss(found, noise)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            average.step(net.parameters())
        rate.step()
    average.copy_to(net.parameters())


@torch.no_grad()
def paint(net: UNet2DModel, labels: Tensor, steps: int) -> Tensor:
    """An image of each of `labels`, out of noise in `steps` steps."""
    kind = DDPMScheduler if steps == LEVELS else DDIMScheduler
    net.eval()
    made = []
    for part in labels.split(500):
        schedule = kind(LEVELS, beta_schedule="linear")
        schedule.set_timesteps(steps)
        image = torch.randn(len(part), 1, net.config.sample_size, net.config.sample_size)
        for level in track(schedule.timesteps, f"{steps} steps", disable=not sys.stderr.isatty()):
            noise = net(image, level, part).sample
            image = schedule.step(noise, level, image).prev_sample
        made.append(image)
    return torch.cat(made)


if __name__ == "__main__":
    main()

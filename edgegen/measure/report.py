"""A measurement for people."""

from typing import Any

from edgegen.results import table

KB = 1024  # bytes of what the kernel calls a kilobyte


def markdown(result: dict[str, Any]) -> str:
    """The table of a result of `measure`; what a place does not tell is left out."""
    rows = [
        ("kernels", result["variant"]),
        ("executable, weights included", f"{result['executable_bytes'] / 1e6:.2f} MB"),
    ]
    rows += _counted(result) if "instructions_a_token" in result else _measured(result)
    return table(f"{result['model']} {result['precision']}, {result['bundle']}, on {result['on']}", rows)


def _counted(result: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("processor", f"{result['cpu']}, emulated by {result['emulator']}")]
    for batch, instructions in result["instructions_a_token"].items():
        rows.append((f"instructions a token, batch {batch}", f"{instructions / 1e3:,.0f} thousand"))
    return rows


def _measured(result: dict[str, Any]) -> list[tuple[str, str]]:
    one, many = result["one_flow"], result["throughput"]
    quantiles = " / ".join(f"{one[f'p{q}_us'] / 1e3:.3g}" for q in (50, 95, 99))
    threads = f"{many['threads']} thread{'s' * (many['threads'] > 1)}"
    rows = [
        *machine_rows(result["machine"]),
        ("one flow at a time, p50 / p95 / p99", f"{quantiles} ms"),
        ("tokens a flow", f"{one['tokens_a_flow']:.1f}, {one['us_a_token']:.1f} us each"),
        (f"flows a second, batch {many['batch']}, {threads}", f"{many['flows_a_second']:,.0f}"),
        ("packets a second", f"{many['packets_a_second']:,.0f}"),
    ]
    if result["first_flow_ms"]:
        starts = sorted(result["first_flow_ms"])
        rows.append(("from start to first flow", f"{starts[len(starts) // 2]:.2f} ms"))
    for batch, kilobytes in result["peak_memory_kb"].items():
        if kilobytes:
            rows.append((f"most memory, batch {batch}", f"{kilobytes * KB / 1e6:.1f} MB"))
    for batch, kernels in result["kernels_us_a_token"].items():
        rows.append((f"where the time goes, batch {batch}", shares(kernels)))
    return rows


def shares(kernels: dict[str, float]) -> str:
    """Kernels by their shares of the time, the greatest first; those below a hundredth are left out."""
    total = sum(kernels.values()) or 1.0
    falling = sorted(kernels.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {time / total:.0%}" for name, time in falling if time / total >= 0.01)


def machine_rows(machine: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts of a machine, as the executable and `devices` tell them."""
    features = f" ({', '.join(machine['features'])})" if machine["features"] else ""
    rows = [("processor", f"{machine['cpu'] or 'unknown'}{features}, {machine['cores']} cores")]
    rows.append(("system", f"{machine['system']}, {machine['memory_mb']:,} MB"))
    clock = [f"{machine['mhz']:,.0f} MHz" if machine["mhz"] else "", machine["governor"] or ""]
    clock += [f"{machine['celsius']:.0f} degrees Celsius"] if machine["celsius"] else []
    if any(clock):
        rows.append(("clock", ", ".join(text for text in clock if text)))
    return rows

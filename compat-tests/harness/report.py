"""The figures of a benchmark as `docs/performance.md` shows them: tables, and plots as SVG."""

from __future__ import annotations

from html import escape
from pathlib import Path

from harness import benchmark

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
# Plot: which figure of each workload, as a ratio to Apache, and whether more is better.
PLOTS = {
    "throughput": ("throughput", "Throughput as a multiple of Apache's"),
    "cpu": ("cpu_us_per_op", "Server CPU per operation as a share of Apache's"),
}
BAR, GAP, LEFT, WIDTH = 16, 8, 190, 640


def write(result: dict, page: Path) -> None:
    """Replaces the figures in `page`, which has the two marks, and the plots beside it."""
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    plots = page.parent / "performance"
    plots.mkdir(exist_ok=True)
    images = []
    for name, (figure, title) in PLOTS.items():
        bars = ratios(result["medians"], figure)
        if bars:
            (plots / f"{name}.svg").write_text(svg(title, bars))
            images.append(f"![{title}](performance/{name}.svg)")
    parts = [machine(result), *images, markdown(result), filled(result)]
    page.write_text(before + BEGIN + "\n" + "\n\n".join(part for part in parts if part) + "\n" + END + after)


def ratios(medians: dict, figure: str) -> list[tuple[str, float]]:
    """Workload and Zorilla's ratio to Apache, where both were measured."""
    both = {name: kinds for name, kinds in medians.items() if {"apache", "zorilla"} <= kinds.keys()}
    return [(name, kinds["zorilla"][figure] / kinds["apache"][figure]) for name, kinds in both.items()]


def svg(title: str, bars: list[tuple[str, float]]) -> str:
    """Bars from zero, each with its value; a line where both servers are equal."""
    scale = (WIDTH - LEFT - 60) / max(1.0, *(value for _, value in bars))
    height = 40 + len(bars) * (BAR + GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(bars):
        y = 34 + number * (BAR + GAP)
        lines += [
            f'<text x="{LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{value * scale:.1f}" height="{BAR}" fill="#3b6ea5"/>',
            f'<text x="{LEFT + value * scale + 4:.1f}" y="{y + 12}">{value:.2f}</text>',
        ]
    equal = LEFT + scale
    lines.append(f'<line x1="{equal:.1f}" y1="28" x2="{equal:.1f}" y2="{height - 6}" stroke="#b03a2e" stroke-dasharray="3"/>')
    return "\n".join([*lines, "</svg>", ""])


def machine(result: dict) -> str:
    about, plan = result["machine"], result["plan"]
    return (
        f"{about['time'][:10]}, {about['cores']} cores ({about['cpu']}), Linux {about['kernel']}, {about['java']}. "
        f"Medians of {plan['rounds']} alternating rounds of {plan['seconds']} s, {plan['bytes_each']} bytes of data; "
        f"Apache with `{' '.join(plan['java_flags'])}`, warmed up for {plan['jit_seconds']} s. x is the ratio to Apache."
    )


def markdown(result: dict) -> str:
    """One row for each workload and server."""
    lines = [
        "| workload | server | ops/s | x | p50 us | p99 us | p99.9 us | CPU us/op | x | RSS MiB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, kinds in result["medians"].items():
        base = kinds.get("apache")
        for kind, median in kinds.items():
            cells = benchmark.row(kind, median, base)
            server, ops, ratio, _, p50, p99, p999, cpu, cpu_ratio, rss, _ = cells
            lines.append("| " + " | ".join((name, server, ops, ratio, p50, p99, p999, cpu, cpu_ratio, rss)) + " |")
    return "\n".join(lines) if result["medians"] else ""


def filled(result: dict) -> str:
    """A million znodes beside Apache's, and ten million in a budget."""
    parts = []
    if million := result.get("million"):
        keys = list(next(iter(million.values())))
        lines = ["A million znodes of 100 bytes:", "", "| | " + " | ".join(million) + " |", "|---|" + "---:|" * len(million)]
        lines += [f"| {key} | " + " | ".join(f"{million[kind][key]:,}" for kind in million) + " |" for key in keys]
        parts.append("\n".join(lines))
    if budget := result.get("budget"):
        lines = ["Ten million znodes within a budget of 1 GiB:", "", "| | |", "|---|---:|"]
        lines += [f"| {key} | {value:,} |" for key, value in budget.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)

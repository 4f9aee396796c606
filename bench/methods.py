#!/usr/bin/env python3
"""What each method of choosing levels makes of one pruned network: size of the packed file against top-1, before and after the levels are trained.

    bench/methods.py MARY FLOAT.onnx PRUNED.onnx WORK --title TEXT [--levels 3,7,15] [--methods ...] [--epochs 2] [--first N] -- OPTIONS OF mary tune

PRUNED.onnx is what `mary tune FLOAT.onnx PRUNED.onnx --no-levels` wrote; OPTIONS say where the data is (--data, --scale, ...) and how it is augmented. Prints a
Markdown table and draws WORK/NAME.svg; WORK/NAME.json keeps what was measured, and a second call measures only what is not there. Test images are used to report: all
points are shown, none is chosen by them. Ratios are those of whole files, FLOAT.onnx to the packed file. Needs matplotlib.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

COLOURS = {"kmeans": "#5b6770", "hessian": "#c2410c", "uniform": "#1d4ed8", "ecsq": "#15803d"}


# Choi, El-Khamy and Lee 2017, tables 1 and 2: top-1 % and ratio of codes, positions and levels (Huffman), not of files.
PAPER = {
    "lenet5": {"original": (99.25, 1), "pruned": (99.27, 10.13), "kmeans": (99.27, 44.58), "hessian": (99.27, 47.16), "uniform": (99.28, 51.25), "ecsq": (99.27, 49.01)},
    "resnet32": {"original": (92.58, 1), "pruned": (92.58, 4.52), "kmeans": (92.64, 18.25), "hessian": (92.67, 20.51), "uniform": (92.68, 22.17), "ecsq": (92.73, 21.01)},
}


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.work = Path(options.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.store = self.work / f"{Path(options.pruned).stem}-methods.json"
        self.known: dict[str, dict] = json.loads(self.store.read_text()) if self.store.exists() else {}

    def mary(self, *arguments: str) -> None:
        subprocess.run([self.options.mary, *arguments], check=True, stdout=subprocess.DEVNULL)

    def remember(self, key: str, measured: dict) -> dict:
        self.known[key] = measured
        self.store.write_text(json.dumps(self.known, indent=1))
        return measured

    def top1(self, model: str) -> float:
        report = str(self.work / "top1.json")
        self.mary("validate", model, *data_only(self.options.tune), "--split", "test", "--report", report)
        return json.loads(Path(report).read_text())["models"][0]["top1_percent"]

    def network(self, path: str) -> float:
        key = f"top1 of {Path(path).name}"
        return self.known[key]["top1"] if key in self.known else self.remember(key, {"top1": self.top1(path)})["top1"]

    def point(self, method: str, shared: bool, levels: int, trained: bool) -> dict:
        """Bytes of the packed file (any coder; Huffman's only), and top-1 on the test images."""
        options = self.options
        epochs = str(options.epochs if trained else 0)
        key = f"{method} {'model' if shared else 'layer'} {levels} {epochs} {options.first if trained else 0}"
        if key in self.known:
            return self.known[key]
        out, report = str(self.work / "point.onnx"), str(self.work / "point.json")
        arguments = ["tune", options.pruned, out, "-q", *options.tune, "--keep", "1", "--levels", str(levels), "--method", method,
                     "--epochs", epochs, "--level-epochs", epochs, "--report", report]
        arguments += ["--per-model"] if shared else []
        arguments += ["--first", str(options.first)] if options.first and trained else []
        self.mary(*arguments)
        sizes = json.loads(Path(report).read_text())
        return self.remember(key, {"bytes": sizes["packed_bytes"], "huffman": sizes["packed_bytes_huffman"], "top1": self.top1(out)})


def data_only(options: list[str]) -> list[str]:
    """Those of mary tune's options that mary validate has, too."""
    kept, wanted = [], {"--data", "--scale", "--mean", "--std", "--labels"}
    for name, value in zip(options, options[1:]):
        kept += [name, value] if name in wanted else []
    return kept


def draw(bench: Bench, points: dict, float_bytes: int, path: Path) -> None:
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "mary", "svg.fonttype": "none", "font.size": 10, "font.family": "sans-serif"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axis, trained in zip(axes, (False, True)):
        for (method, shared), row in points.items():
            xs = [row[levels][trained]["bytes"] / 1000 for levels in row]
            ys = [row[levels][trained]["top1"] for levels in row]
            axis.plot(xs, ys, marker="s" if shared else "o", markersize=4, linewidth=1.4, color=COLOURS.get(method), linestyle="--" if shared else "-",
                      label=f"{method}, {'one set of levels' if shared else 'levels per layer'}")
        axis.axhline(bench.network(bench.options.float), color="#9ca3af", linewidth=1, linestyle=":", label="float network" if trained else None)
        axis.set_title("levels trained" if trained else "levels as chosen")
        axis.set_xlabel(f"packed file, kB (float file: {float_bytes / 1000:,.0f} kB)")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    least = min(entry["top1"] for row in points.values() for pair in row.values() for entry in pair)
    best = bench.network(bench.options.float)
    axes[0].set_ylim(max(least, best - bench.options.span) - 0.03 * bench.options.span, best + 0.12 * bench.options.span)
    axes[0].set_ylabel("top-1 %, test images")
    axes[1].legend(fontsize=8, frameon=False, loc="lower right")
    figure.suptitle(bench.options.title)
    figure.savefig(path, metadata={"Date": None})


def beside_the_paper(bench: Bench, paper: dict[str, tuple[float, float]], points: dict, levels: int, float_bytes: int) -> None:
    """Levels of a layer, the number of them that --beside names."""
    print(f"\n| | paper: top-1 %, ratio | ours, {levels} values besides zero: top-1 % as chosen | trained | ratio, Huffman | ratio |")
    print("|---|---|---|---|---|---|")
    for name, (top1, ratio) in paper.items():
        if name in ("original", "pruned"):
            print(f"| {name} | {top1:.2f}, {ratio:.2f} | {bench.network(bench.options.float if name == 'original' else bench.options.pruned):.2f} | | | |")
        elif (name, False) in points and levels in points[name, False]:
            before, after = points[name, False][levels]
            print(f"| {name} | {top1:.2f}, {ratio:.2f} | {before['top1']:.2f} | {after['top1']:.2f} | {float_bytes / after['huffman']:.1f} | "
                  f"{float_bytes / after['bytes']:.1f} |")


def main() -> None:
    own, tune = (sys.argv[1:], []) if "--" not in sys.argv else (sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name in ("mary", "float", "pruned", "work"):
        parser.add_argument(name)
    parser.add_argument("--title", required=True)
    parser.add_argument("--levels", default="3,7,15,31", help="values besides zero")
    parser.add_argument("--methods", default="kmeans,hessian,uniform,ecsq")
    parser.add_argument("--epochs", type=int, default=2, help="that train the levels")
    parser.add_argument("--first", type=int, default=0, help="samples to train the levels with (0: all)")
    parser.add_argument("--paper", choices=PAPER, help="print what the paper has for this network, too")
    parser.add_argument("--beside", type=int, default=15, help="values besides zero of our rows there")
    parser.add_argument("--span", type=float, default=2, help="points of top-1 that the plot shows below the float network")
    options = parser.parse_args(own)
    options.tune = tune
    bench = Bench(options)
    float_bytes = Path(options.float).stat().st_size
    points: dict[tuple[str, bool], dict[int, list[dict]]] = {}
    print(f"{options.title}: {bench.network(options.float):.2f} % as float, {bench.network(options.pruned):.2f} % pruned\n")
    print("| method | levels of | values besides zero | top-1 %, levels as chosen | levels trained | packed | ratio | ratio, `--coder huffman` |")
    print("|---|---|---|---|---|---|---|---|")
    for method in options.methods.split(","):
        for shared in (False, True):
            for levels in map(int, options.levels.split(",")):
                before, after = (bench.point(method, shared, levels, trained) for trained in (False, True))
                points.setdefault((method, shared), {})[levels] = [before, after]
                print(f"| {method} | {'the model' if shared else 'a layer'} | {levels} | {before['top1']:.2f} | {after['top1']:.2f} | {after['bytes']:,} | "
                      f"{float_bytes / after['bytes']:.1f} | {float_bytes / after['huffman']:.1f} |", flush=True)
    if options.paper:
        beside_the_paper(bench, PAPER[options.paper], points, options.beside, float_bytes)
    draw(bench, points, float_bytes, bench.work / f"{Path(options.pruned).stem}-methods.svg")


if __name__ == "__main__":
    main()

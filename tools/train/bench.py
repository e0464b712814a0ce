"""Time models against each other in onnxruntime on the CPU, round robin, and print medians as ratios to the first.

    python bench.py plain.onnx pruned.onnx quantised.onnx --size 416 --rounds 60 --threads 2
"""
import argparse
import statistics
import time

import numpy as np

from console import run
from evaluate import OnnxModel


def measure(paths, size, rounds, threads):
    """{path: seconds of every round}; each round runs every model once, so that a busy machine slows all alike."""
    models = {p: OnnxModel(p, threads) for p in paths}
    picture = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    for m in models.values():
        for _ in range(3):
            m(picture)
    times = {p: [] for p in paths}
    for _ in range(rounds):
        for p, m in models.items():
            start = time.perf_counter()
            m(picture)
            times[p].append(time.perf_counter() - start)
    return times


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="\n".join(__doc__.splitlines()[1:]),
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+", help=".onnx files; the first is the yardstick")
    p.add_argument("--size", type=int, default=416)
    p.add_argument("--rounds", type=int, default=60)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    times = measure(a.models, a.size, a.rounds, a.threads)
    base = times[a.models[0]]
    for path, t in times.items():
        ratios = sorted(x / y for x, y in zip(t, base))
        low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
        print(f"{path}: median {1000 * statistics.median(t):.1f} ms, {statistics.median(ratios):.2f} x the first "
              f"(10 % to 90 %: {low:.2f} to {high:.2f})")
    return 0


if __name__ == "__main__":
    run(main)

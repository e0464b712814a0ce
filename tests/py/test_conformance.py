"""The node tests of the ONNX standard (in the package onnx): what we run must be right, what we do not run must be
refused with a sentence (exit code 2), and what passed once must pass for ever (tests/golden/conformance.txt).

To write that list anew: tests/py/test_conformance.py --write"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import onnx
from onnx import numpy_helper

import slipway
import zoo

NODE_TESTS = pathlib.Path(onnx.__file__).parent / "backend/test/data/node"
PASSED = zoo.GOLDEN / "conformance.txt"
RTOL, ATOL = 1e-3, 1e-5

# Cases where we follow ONNX Runtime, which differs from the standard's files, too: it maps coordinates with the whole
# number of output pixels, the files with the fraction (1.8 of 3 x 0.6).
DIFFERENT = {"test_resize_downsample_scales_cubic_align_corners", "test_resize_downsample_scales_linear_align_corners"}


def array_of(path):
    """The array in a TensorProto file; None for sequences, optionals and types that NumPy lacks."""
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    array = numpy_helper.to_array(tensor)
    return array if array.dtype.kind in "fiub" else None


def outcome(case, folder):
    """("passed" | "refused" | "wrong" | "untried", why)."""
    model = onnx.load(case / "model.onnx")
    ports = model.graph.input
    if any(not port.type.HasField("tensor_type") for port in [*ports, *model.graph.output]):
        return "untried", "no tensors"
    arguments, want = [], []
    for index, port in enumerate(ports):
        array = array_of(case / f"test_data_set_0/input_{index}.pb")
        if array is None:
            return "untried", "a type without npy"
        path = folder / f"{case.name}_{index}.npy"
        np.save(path, array)
        arguments += ["--input", f"{port.name}={path}"]
    for index, port in enumerate(model.graph.output):
        array = array_of(case / f"test_data_set_0/output_{index}.pb")
        if array is None:
            return "untried", "a type without npy"
        want.append((port.name, array))
    out = folder / case.name
    out.mkdir()
    try:
        process = slipway.run("run", case / "model.onnx", *arguments, "--output-dir", out, expect=None, timeout=20)
    except subprocess.TimeoutExpired:
        return "wrong", "takes more than 20 s"
    if process.returncode == 2 and process.stderr.strip():
        return "refused", process.stderr.strip().splitlines()[0]
    if process.returncode:
        return "wrong", f"exit code {process.returncode}: {process.stderr.strip()[:200]}"
    for name, array in want:
        path = out / f"{slipway.file_name(name)}.npy"
        if not path.exists():
            return "wrong", f"no output {name}"
        got = np.load(path)
        if got.shape != array.shape or got.dtype != array.dtype:
            return "wrong", f"{name}: {got.dtype}{list(got.shape)}, expected {array.dtype}{list(array.shape)}"
        if not np.allclose(got.astype(np.float64), array.astype(np.float64), RTOL, ATOL, equal_nan=True):
            return "wrong", f"{name}: values"
    return "passed", ""


def run_all():
    """Outcome by case."""
    cases = sorted(path for path in NODE_TESTS.iterdir() if (path / "model.onnx").exists())
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip([case.name for case in cases], pool.map(lambda c: outcome(c, pathlib.Path(folder)), cases)))


@unittest.skipUnless(NODE_TESTS.is_dir(), "this version of onnx does not ship the node tests")
class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.outcomes = run_all()
        counts = {}
        for kind, _ in cls.outcomes.values():
            counts[kind] = counts.get(kind, 0) + 1
        print(f"{len(cls.outcomes)} node tests: {', '.join(f'{n} {kind}' for kind, n in sorted(counts.items()))}")

    def test_nothing_is_wrong(self):
        wrong = [
            f"{name}: {why}" for name, (kind, why) in self.outcomes.items() if kind == "wrong" and name not in DIFFERENT
        ]
        self.assertEqual(wrong, [])

    def test_what_passed_still_passes(self):
        lost = [
            f"{name}: {self.outcomes.get(name, ('gone', ''))}"
            for name in PASSED.read_text().split()
            if self.outcomes.get(name, ("", ""))[0] != "passed"
        ]
        self.assertEqual(lost, [])

    def test_refusals_name_the_reason(self):
        """An operator, a type, an attribute or a node: something that a person can look for."""
        silent = [
            f"{name}: {why}"
            for name, (kind, why) in self.outcomes.items()
            if kind == "refused" and not re.search(r"\w{3,} \w+", why)
        ]
        self.assertEqual(silent, [])


def main():
    outcomes = run_all()
    for name, (kind, why) in outcomes.items():
        if kind != "passed":
            print(f"{kind:8} {name}: {why}")
    if "--write" in sys.argv:
        PASSED.write_text("".join(f"{name}\n" for name, (kind, _) in outcomes.items() if kind == "passed"))
    print({kind: sum(k == kind for k, _ in outcomes.values()) for kind in ("passed", "refused", "wrong", "untried")})


if __name__ == "__main__":
    main()

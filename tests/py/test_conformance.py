"""The node tests of the ONNX standard (in the package onnx): what we run must be right, what we do not run must be
refused with a sentence (exit code 2), and what passed once must pass for ever (tests/golden/conformance.txt).

As a program: the table by operator (`make conformance`); with --write, also that list anew."""

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

# Cases whose files hold something else than the text of the standard, or than its later files (docs/decisions/006). We
# follow, as ONNX Runtime:
# - Resize maps coordinates with the whole number of output pixels, the files with the fraction (1.8 of 3 x 0.6).
# - Attention with fewer key heads than query heads: neighbours share one (onnx/onnx#7274), the files repeat the whole list.
# - Attention caps scores before the mask is added, and numbers what it shows in that order (onnx/onnx#7867); with a past,
#   the first query is the one right after it.
# - QLinearMatMul saturates; the files of int8 wrap around.
# - LpNormalization leaves lanes of zeros alone; the file has 0 / 0.
DIFFERENT = re.compile(
    r"test_resize_downsample_scales_(cubic|linear)_align_corners|test_attention_[34]d_gqa(?!.*_expanded).*"
    r"|test_attention_[34]d_with_(past_and_present_)?qk_matmul_(bias|softcap)(_[34]d_mask)?(_causal)?"
    r"|test_qlinearmatmul_[23]D_int8_float(16|32)|test_l2normalization_axis_0"
)


# Cases of operators of the zoo whose inputs are no tensors of numbers: strings, a sequence, an optional (docs/decisions/006).
NO_TENSORS = ("test_equal_string", "test_equal_string_broadcast", "test_identity_opt", "test_identity_sequence")

# Types that NumPy lacks, and those of its types that hold all their values.
HELD_BY = {onnx.TensorProto.INT4: np.int8, onnx.TensorProto.UINT4: np.uint8} | {
    getattr(onnx.TensorProto, name): np.float32
    for name in "BFLOAT16 FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT4E2M1 FLOAT8E8M0".split()
}


def array_of(path):
    """The array in a TensorProto file, in a type of NumPy that holds it; None for strings, sequences and optionals."""
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    array = numpy_helper.to_array(tensor)
    if tensor.data_type in HELD_BY:
        return array.astype(HELD_BY[tensor.data_type])
    return array if array.dtype.kind in "fiub" else None


def with_types_of_numpy(path, folder):
    """The model at `path`, or one that casts inputs whose types NumPy lacks from those that hold them, which is exact."""
    model = onnx.load(path)
    inputs = [port for port in model.graph.input if port.type.tensor_type.elem_type in HELD_BY]
    for port in inputs:
        for node in model.graph.node:
            node.input[:] = [f"{name}_cast" if name == port.name else name for name in node.input]
        dtype = port.type.tensor_type.elem_type
        port.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(HELD_BY[dtype]))
        model.graph.node.insert(0, onnx.helper.make_node("Cast", [port.name], [f"{port.name}_cast"], to=dtype))
    if inputs:
        path = folder / f"{path.parent.name}.onnx"
        onnx.save(model, path)
    return path


def look_at(case, reason):
    """Outcome of a case that cannot be run for `reason`: the model must load, or be refused with a sentence."""
    process = slipway.run("inspect", case / "model.onnx", expect=None, timeout=20)
    if process.returncode == 2 and process.stderr.strip():
        return "refused", process.stderr.strip().splitlines()[0]
    return ("wrong", f"exit code {process.returncode}") if process.returncode else ("untried", reason)


def outcome(case, folder):
    """("passed" | "refused" | "wrong" | "untried", why)."""
    model = onnx.load(case / "model.onnx")
    ports = model.graph.input
    if any(not port.type.HasField("tensor_type") for port in [*ports, *model.graph.output]):
        return look_at(case, "no tensors")
    arguments, want = [], []
    for index, port in enumerate(ports):
        array = array_of(case / f"test_data_set_0/input_{index}.pb")
        if array is None:
            return look_at(case, "a type without npy")
        path = folder / f"{case.name}_{index}.npy"
        np.save(path, array)
        arguments += ["--input", f"{port.name}={path}"]
    for index, port in enumerate(model.graph.output):
        array = array_of(case / f"test_data_set_0/output_{index}.pb")
        if array is None:
            return look_at(case, "a type without npy")
        want.append((port.name, array))
    model_path = with_types_of_numpy(case / "model.onnx", folder)
    out = folder / case.name
    out.mkdir()
    try:
        process = slipway.run("run", model_path, *arguments, "--output-dir", out, expect=None, timeout=20)
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
            f"{name}: {why}"
            for name, (kind, why) in self.outcomes.items()
            if kind == "wrong" and not DIFFERENT.fullmatch(name)
        ]
        self.assertEqual(wrong, [])

    def test_operators_of_the_zoo(self):
        """Every case of an operator that occurs in tests/zoo passes, or is one of those named above."""
        operators, graphs = set(), [onnx.load(path).graph for path in zoo.models().values()]
        for graph in graphs:
            for node in graph.node:
                operators.add(node.op_type)
                graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        self.assertGreater(len(operators), 60)
        cases = [name for name in self.outcomes if operator_of(name, self.outcomes) in operators]
        self.assertGreater(len(cases), 500)
        left = {name: self.outcomes[name] for name in cases if self.outcomes[name][0] != "passed"}
        self.assertEqual({n: why for n, why in left.items() if not DIFFERENT.fullmatch(n) and n not in NO_TENSORS}, {})

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


def operator_of(case, cases):
    """What a case tests; those that spell a function out belong to the function."""
    whole = re.sub(r"_expanded(_ver\d+)?$", "", case)
    model = onnx.load(NODE_TESTS / (whole if whole in cases else case) / "model.onnx", load_external_data=False)
    node = model.graph.node[-1]
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def short(why):
    """A reason without the path of the model and the name of the node."""
    why = re.sub(r"^slipway: .*?model\.onnx[^:]*: ", "", why)
    return re.sub(r" \(\d+ nodes?,[^)]*\)", "", why)


def print_table(outcomes):
    """One line an operator that has cases which do not pass: how many do, and why the others do not."""
    table = {}
    for case, result in outcomes.items():
        table.setdefault(operator_of(case, outcomes), []).append((case, *result))
    for operator, rows in sorted(table.items()):
        passed = sum(kind == "passed" for _, kind, _ in rows)
        reasons = {}
        for case, kind, why in rows:
            if kind != "passed":
                reason = "as ONNX Runtime, not as the file" if DIFFERENT.fullmatch(case) else f"{kind}: {short(why)}"
                reasons.setdefault(reason, []).append(case)
        print(f"{operator:36} {passed:4} of {len(rows):4}", end="")
        print("".join(f"\n    {len(cases):4} x {reason[:160]}" for reason, cases in reasons.items()))
    passed = sum(kind == "passed" for kind, _ in outcomes.values())
    print(f"{passed} of {len(outcomes)} node tests pass")


def main():
    outcomes = run_all()
    print_table(outcomes)
    if "--write" in sys.argv:
        PASSED.write_text("".join(f"{name}\n" for name, (kind, _) in outcomes.items() if kind == "passed"))


if __name__ == "__main__":
    main()

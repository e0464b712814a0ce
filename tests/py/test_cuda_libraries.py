"""cuDNN and cuBLASLt as tactics of the tuner, with libraries that stand in for them (tests/cuda_emu)."""

import json
import pathlib
import re
import shutil
import subprocess
import unittest
import zlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import slipway
from test_cuda import CUDA_H, LIBRARY, Emulated

FAST = {"EMU_CUDA": "fast-library,idle"}


class Libraries(Emulated):
    def setUp(self):
        super().setUp()
        self.env |= {
            "SLIPWAY_CUDNN": str(LIBRARY),
            "SLIPWAY_CUBLASLT": str(LIBRARY),
            "XDG_CACHE_HOME": str(self.folder / "home"),
        }
        random = np.random.default_rng(3)
        weight = lambda *shape: random.uniform(-0.3, 0.3, shape).astype(np.float32)  # noqa: E731
        weights = {"w": weight(16, 8, 3, 3), "b": weight(16), "v": weight(24, 16, 1, 1), "u": weight(24, 24, 1, 1)}
        nodes = [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], name="strided", strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Sigmoid", ["c"], ["s"]),
            helper.make_node("Mul", ["c", "s"], ["d"]),
            helper.make_node("Conv", ["d", "v"], ["e"], name="product"),
            helper.make_node("Conv", ["e", "u"], ["f"], name="added"),
            helper.make_node("Add", ["f", "e"], ["g"]),
            helper.make_node("Relu", ["g"], ["y"]),
        ]
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", T.FLOAT, [2, 8, 9, 8])],
            [helper.make_tensor_value_info("y", T.FLOAT, [2, 24, 5, 4])],
            [helper.make_tensor(k, T.FLOAT, v.shape, v.ravel()) for k, v in weights.items()],
        )
        self.path = self.folder / "m.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), self.path)
        np.save(self.folder / "x.npy", random.uniform(-1, 1, (2, 8, 9, 8)).astype(np.float32))
        self.plan = self.folder / "m.slip"

    def build(self, *options, **env):
        return slipway.run("build", self.path, "-o", self.plan, "--device", "cuda", *options, env={**self.env, **env})

    def tiles(self):
        return list(json.loads(slipway.run("inspect", self.plan, "--json").stdout)["gpu"]["tiles"].values())

    def result(self, path, device, **env):
        command = ("run", path, "-i", self.folder / "x.npy", "-o", self.folder / "out", "--device", device)
        said = slipway.run(*command, env={**self.env, **env}).stderr
        return np.load(self.folder / "out" / "y.npy"), said

    def test_the_fastest_runs(self):
        want, _ = self.result(self.path, "cpu")
        self.build(**FAST)
        tiles = self.tiles()
        self.assertTrue(all(re.match(r"CUDNN_91900_|CUBLASLT_130100_", tile) for tile in tiles), tiles)
        self.assertIn("CUDNN_91900_0:2=3,13=2", tiles)
        got, said = self.result(self.plan, "cuda")
        self.assertEqual(said, "")
        self.assertLess(np.abs(got - want).max(), 1e-2)
        nodes = json.loads(slipway.run("profile", self.plan, "--device", "cuda", "--runs", "2", "--json", env=self.env).stdout)
        kernels = {node["node"]: node["kernel"] for node in nodes["nodes"]}
        self.assertRegex(kernels["strided"], "^CUDNN_91900_0:")

    def test_own_kernels_where_they_win_and_without_libraries(self):
        self.build(EMU_CUDA="idle")
        self.assertFalse([tile for tile in self.tiles() if tile.startswith("CU")])
        self.build("--no-libraries", "--timing-cache", "none", **FAST)
        self.assertFalse([tile for tile in self.tiles() if tile.startswith("CU")])

    def test_a_library_must_gain_enough_in_the_network(self):
        even = {"EMU_CUDA": "even-library,idle"}
        self.build(**even)
        self.assertFalse([tile for tile in self.tiles() if tile.startswith("CU")], "faster alone only")
        first = self.plan.read_bytes()
        self.build(**even)
        self.assertEqual(self.plan.read_bytes(), first, "known, and not weighed again")
        for percent, theirs in (("49", True), ("51", False)):  # of a network that takes half the time with them
            self.build("--library-gain", percent, "--timing-cache", "none", **FAST)
            self.assertEqual(any(tile.startswith("CU") for tile in self.tiles()), theirs, percent)

    def test_times_in_the_network_are_those_of_a_gain(self):
        plans = {}
        for percent in ("51", "49", "51", "49"):
            self.build("--library-gain", percent, **FAST)
            self.assertEqual(any(tile.startswith("CU") for tile in self.tiles()), percent == "49", percent)
            self.assertEqual(plans.setdefault(percent, self.plan.read_bytes()), self.plan.read_bytes(), "known")

    def test_a_library_without_rivals_must_gain_too(self):
        self.build("--library-gain", "99", **FAST)
        (path,) = (self.folder / "home/slipway").glob("timings-*.txt")
        lines, chosen = [], set()
        for line in path.read_text().splitlines()[:-1]:
            step, _, tile = line.partition("\t")
            library = tile.startswith("CU") and step not in chosen
            chosen |= {step} if library else set()
            if " in " not in line:  # the first tactic of each convolution is by far the fastest
                lines.append(re.sub(r"\d+ \d+$", "100 100", line) if library else line)
        text = "\n".join(lines) + "\n"
        path.write_text(f"{text}end {text.count(chr(9)) // 2} {zlib.crc32(text.encode()):08x}\n")
        self.build("--library-gain", "51", **FAST)
        self.assertIn("\t100 100\n", path.read_text(), "the times were taken")
        self.assertFalse([tile for tile in self.tiles() if tile.startswith("CU")])

    def test_times_are_kept(self):
        self.build(**FAST)
        first = self.plan.read_bytes()
        (path,) = (self.folder / "home/slipway").glob("timings-*.txt")
        self.assertIn("\tCUDNN_91900_1\t", path.read_text())
        self.build(EMU_CUDA="idle")
        self.assertEqual(self.plan.read_bytes(), first, "nothing was timed again")

    def test_another_library_or_none(self):
        want, _ = self.result(self.path, "cpu")
        self.build(**FAST)
        nowhere = {"SLIPWAY_CUDNN": "/nonexistent", "SLIPWAY_CUBLASLT": "/nonexistent"}
        cold = {"SLIPWAY_CACHE": str(self.folder / "empty")}
        for env, text in (
            (nowhere, "there is no cuDNN (/nonexistent cannot be opened)"),
            ({"EMU_CUDA": "dnn-other"}, "cuDNN 91900 was timed, 91901 is here"),
            ({"EMU_CUDA": "dnn-plan", **cold}, "cuDNN does not take a convolution: not supported"),
        ):
            with self.subTest(env=env):
                got, said = self.result(self.plan, "cuda", **env)
                self.assertIn(text, said)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertLess(np.abs(got - want).max(), 1e-2)

    def test_what_cudnn_compiled_is_kept(self):
        want, _ = self.result(self.path, "cpu")
        self.build(**FAST)
        files = sorted((self.folder / "cache/cuda").glob("cudnn-sm90-*"))
        self.assertGreaterEqual(len(files), 4)  # two engines for the strided, two at least for the others
        got, said = self.result(self.plan, "cuda", EMU_CUDA="dnn-plan")
        self.assertEqual(said, "", "no plan was compiled")
        self.assertLess(np.abs(got - want).max(), 1e-2)
        for path in files:
            path.write_bytes(path.read_bytes()[:-1])
        for env in ({}, {"EMU_CUDA": "dnn-json"}):
            again, said = self.result(self.plan, "cuda", **env)
            self.assertEqual(said, "")
            np.testing.assert_array_equal(again, got)

    def test_products_of_rows(self):
        """Of halves with halves as results; what ends in float32, or adds it, has a kernel."""
        random = np.random.default_rng(2)
        weights = {"w": (32, 64), "b": (64,), "v": (64, 32), "g": (32,), "h": (32,)}
        nodes = [
            helper.make_node("LayerNormalization", ["x", "g", "h"], ["l"]),
            helper.make_node("MatMul", ["l", "w"], ["a"]),
            helper.make_node("Add", ["a", "b"], ["c"]),
            helper.make_node("Gelu", ["c"], ["d"]),
            helper.make_node("MatMul", ["d", "v"], ["e"]),
            helper.make_node("Add", ["e", "x"], ["y"]),
        ]
        ports = [helper.make_tensor_value_info(name, T.FLOAT, [2, 24, 32]) for name in "xy"]
        constants = [numpy_helper.from_array(random.uniform(-0.2, 0.2, s).astype(np.float32), n) for n, s in weights.items()]
        graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), self.path)
        np.save(self.folder / "x.npy", random.uniform(-1, 1, (2, 24, 32)).astype(np.float32))
        want, _ = self.result(self.path, "cpu")
        self.build(**FAST)
        self.assertEqual(sum(tile.startswith("CUDNN_") for tile in self.tiles()), 1, self.tiles())
        got, said = self.result(self.plan, "cuda")
        self.assertEqual(said, "")
        self.assertLess(np.abs(got - want).max(), 1e-2)

    def test_a_plan_with_code_runs_without_libraries(self):
        want, _ = self.result(self.path, "cpu")
        self.build("--with-code", **FAST)
        self.assertTrue(all(tile.startswith("CU") for tile in self.tiles()))
        bare = {name: "/nonexistent" for name in ("SLIPWAY_CUDNN", "SLIPWAY_CUBLASLT", "SLIPWAY_NVRTC")}
        command = ("run", self.plan, "-i", self.folder / "x.npy", "-o", self.folder / "out", "--device", "cuda", "--trust-code")
        said = slipway.run(*command, env={**self.env, **bare, "SLIPWAY_CACHE": str(self.folder / "empty")}).stderr
        self.assertRegex(said, "^[^\n]*there is no cu[^\n]*\n$")
        self.assertLess(np.abs(np.load(self.folder / "out" / "y.npy") - want).max(), 1e-2)

    def test_what_a_library_refuses_is_not_taken(self):
        for how in ("dnn-8", "dnn-none", "dnn-graph", "dnn-plan", "dnn-run", "dnn-big"):
            for blas in ("blas-11", "blas-none", "blas-check", "blas-run"):
                with self.subTest(how=how, blas=blas):
                    process = self.build("--timing-cache", "none", EMU_CUDA=f"fast-library,idle,{how},{blas}")
                    self.assertEqual(process.stderr, "")
                    self.assertFalse([tile for tile in self.tiles() if tile.startswith("CU")])

    def test_devices_tells_of_them(self):
        found = json.loads(slipway.run("devices", "--json", env=self.env).stdout)
        self.assertEqual(found["libraries"], {"cuDNN": "9.19.0", "cuBLASLt": "13.1.0"})
        text = slipway.run("devices", env={**self.env, "SLIPWAY_CUDNN": "/none", "EMU_CUDA": "blas-11"}).stdout
        self.assertIn("there is no cuDNN (/none cannot be opened)", text)
        self.assertIn("cuBLASLt 110000 is no version 12 or 13", text)
        wrong = slipway.run("devices", env={**self.env, "SLIPWAY_CUDNN": str(LIBRARY.with_name("none.so")), "EMU_CUDA": "x"})
        self.assertIn("there is no cuDNN", wrong.stdout)

    def test_a_part_of_cudnn_is_missing(self):
        lone = self.folder / "libcudnn.so.9"
        shutil.copy(LIBRARY, lone)
        text = slipway.run("devices", env={**self.env, "SLIPWAY_CUDNN": str(lone)}).stdout
        self.assertIn("libcudnn_graph.so.9 cannot be opened", text)


def parameters(arguments):
    """Names of the parameters of a prototype."""
    inside = arguments.strip()[1:-1].strip()
    return [] if inside == "void" else [re.search(r"(\w+)$", part.strip()).group(1) for part in inside.split(",")]


class Headers(unittest.TestCase):
    """Prototypes and numbers are those of the libraries' headers."""

    def check(self, header, rows, numbers, extra=""):
        if not (CUDA_H.parent / header).exists() or not shutil.which("cc"):
            self.skipTest(f"no {header}")
        text = f"#include <{header}>\n#include \"backend/cuda/library.h\"\n{extra}"
        own = (slipway.ROOT / "src/backend/cuda/library.h").read_text().replace("\\\n", " ")
        listed = own[own.index(f"#define {rows}(X)") :].split("\n", 1)[0]
        for field, symbol, result, arguments in re.findall(r"X\((\w+), (\w+), ([\w *]+),\s*(\([^()]*\))\)", listed):
            names = parameters(arguments)
            pointers = [n for n in names if re.search(rf"\* *{n}\b", arguments) and "cublasLt" in symbol]  # to types of theirs
            casts = ", ".join(f"(void *){n}" if n in pointers else n for n in names)
            text += f"{result} call_{field}{arguments};\n{result} call_{field}{arguments} {{ return {symbol}({casts}); }}\n"
        text += f"#define SAME(own, theirs, value) _Static_assert((int)theirs == value, #theirs);\n{numbers}(SAME)\n"
        flags = ["-std=gnu17", "-fsyntax-only", "-Werror", "-Wno-deprecated-declarations", "-x", "c"]
        command = ["cc", *flags, f"-I{CUDA_H.parent}", f"-I{slipway.ROOT}/src", f"-I{slipway.ROOT}/include", "-"]
        process = subprocess.run(command, input=text, capture_output=True, text=True)
        self.assertEqual(process.returncode, 0, process.stderr[:3000])

    def test_cudnn(self):
        self.check("cudnn.h", "SW_CUDNN_LIST", "SW_CUDNN_NUMBERS")

    def test_cublaslt(self):
        sizes = "".join(
            f"_Static_assert(sizeof({own}) == sizeof({theirs}), #own);\n".replace("#own", f'"{own}"')
            for own, theirs in (("sw_blas_algo", "cublasLtMatmulAlgo_t"), ("sw_blas_choice", "cublasLtMatmulHeuristicResult_t"))
        )
        self.check("cublasLt.h", "SW_BLAS_LIST", "SW_BLAS_NUMBERS", sizes)


if __name__ == "__main__":
    unittest.main()

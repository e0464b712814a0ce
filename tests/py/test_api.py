"""The C API as it is installed: what the libraries export and need, and programs that are built against them."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import numpy as np

import slipway

HEADERS = slipway.ROOT / "include/slipway"
RUN_SIDE, BUILD_SIDE = ("status", "tensor", "plan"), ("build",)
LIBRARIES = {
    "slipway-rt": ("src/engine/slipway-rt.map", RUN_SIDE),
    "slipway": ("src/build/slipway.map", RUN_SIDE + BUILD_SIDE),
}
# A run-side program: prints the outputs of a plan on an input of zeros.
RUN_PLAN = r"""
#include <slipway/plan.h>
#include <stdio.h>
#include <stdlib.h>
static void show(void *ctx, const sw_message *m) { fprintf(stderr, "%s\n", m->text); }
int main(int argc, char **argv) {
    sw_diag diag = {show, NULL};
    sw_plan *plan = NULL;
    sw_session *session = NULL;
    if (argc != 2 || sw_plan_load(argv[1], NULL, &diag, &plan) != SW_OK) return 2;
    if (sw_session_create(plan, NULL, &diag, &session) != SW_OK) return 4;
    sw_tensor in = sw_plan_input(plan, 0)->type, out;
    in.data = calloc((size_t)sw_tensor_bytes(&in), 1);
    if (sw_session_run(session, &in, &out) != SW_OK) return 3;
    for (int64_t i = 0; i < sw_tensor_count(&out); i++) printf("%.9g\n", ((const float *)out.data)[i]);
    free(in.data);
    sw_session_destroy(session);
    sw_plan_unref(plan);
    return 0;
}
"""


def declared(headers):
    """Names of the functions that public headers declare."""
    names = set()
    for header in headers:
        text = re.sub(r"/\*.*?\*/", "", (HEADERS / f"{header}.h").read_text(), flags=re.S)
        text = re.sub(r"#\s*define(?:\\\n|[^\n])*", "", text)
        names |= set(re.findall(r"\b(sw_\w+)\(", text))
    return names


def tool(*command, **options):
    if not shutil.which(command[0]):
        raise unittest.SkipTest(f"no {command[0]}")
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    if done.returncode:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Libraries(unittest.TestCase):
    def test_they_export_what_the_headers_declare_and_nothing_else(self):
        for name, (symbols, headers) in LIBRARIES.items():
            listed = re.findall(r"^    (\w+);$", (slipway.ROOT / symbols).read_text(), flags=re.M)
            self.assertEqual(listed, sorted(set(listed)), symbols)
            self.assertEqual(set(listed), declared(headers), symbols)
            table = tool("readelf", "--dyn-syms", "--wide", slipway.BUILD / f"lib{name}.so")
            exported = re.findall(r"(?:FUNC|OBJECT) +GLOBAL +DEFAULT +\d+ (\w+)@@SLIPWAY_1$", table, flags=re.M)
            self.assertEqual(sorted(exported), listed)
            defined = re.findall(r" (?:GLOBAL|WEAK) +DEFAULT +\d+ (\w+)", table)
            self.assertEqual(set(defined), set(listed))

    def test_the_run_side_needs_only_the_c_library(self):
        section = tool("readelf", "--dynamic", "--wide", slipway.BUILD / "libslipway-rt.so")
        needed = re.findall(r"\(NEEDED\).*\[(.*?)\]", section)
        self.assertIn("libc.so.6", needed)
        self.assertLessEqual({n for n in needed if not n.startswith("ld-linux")}, {"libc.so.6", "libm.so.6", "libpthread.so.0"})
        self.assertIn("[libslipway-rt.so.1]", section)


class Installed(unittest.TestCase):
    """Programs that know only what `make install` put somewhere."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        tool("meson", "install", "-C", slipway.BUILD, "--no-rebuild", "--quiet", "--destdir", cls.folder)
        [pc] = cls.folder.rglob("slipway-rt.pc")
        cls.libraries = pc.parent.parent
        cls.env = {"PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(cls.folder)}

    def compile(self, source, package, name):
        flags = tool("pkg-config", "--cflags", "--libs", package, env={**os.environ, **self.env}).split()
        program = self.folder / name
        command = ["cc", "-std=c17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", source, "-o", program]
        tool(*command, *flags, f"-Wl,-rpath,{self.libraries}")
        return program

    def test_a_run_side_program_gives_what_slipway_run_gives(self):
        source, plan, x = self.folder / "run_plan.c", self.folder / "m.slip", self.folder / "x.npy"
        source.write_text(RUN_PLAN)
        program = self.compile(source, "slipway-rt", "run_plan")
        slipway.run("build", slipway.SAMPLE_MODEL, "-o", plan, "--shapes", "1x3x64x96", "--opt-level", 0)
        np.save(x, np.zeros((1, 3, 64, 96), np.float32))
        slipway.run("run", plan, "--input", f"images={x}", "--output-dir", self.folder)
        got = np.array(tool(program, plan).split(), np.float32)
        np.testing.assert_array_equal(got, np.load(self.folder / "output0.npy").ravel())
        done = subprocess.run([program, slipway.SAMPLE_MODEL], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))

    def test_the_sample_model_is_installed(self):
        import cv2

        picture = self.folder / "grey.png"
        cv2.imwrite(str(picture), np.full((64, 64, 3), 128, np.uint8))
        [program] = self.folder.rglob("bin/slipway")
        self.assertIn("grey.png  64 x 64", tool(program, "detect", picture))

    def test_the_example_finds_what_slipway_detect_finds(self):
        source = slipway.ROOT / "examples/detect.c"
        self.assertLess(len(source.read_text().splitlines()), 60)
        program = self.compile(source, "slipway", "detect")
        picture = slipway.ROOT / "build/demo/bus.jpg"
        if not picture.exists():
            self.skipTest("no picture (tools/fetch-picture)")
        import cv2

        cv2.imwrite(str(self.folder / "bus.ppm"), cv2.imread(str(picture)))
        lines = tool(program, slipway.SAMPLE_MODEL, self.folder / "bus.ppm").splitlines()
        found = [[float(word) for word in line.split()] for line in lines]
        [want] = json.loads(slipway.run("detect", slipway.SAMPLE_MODEL, picture, "--json", "-", "--conf", 0.7).stdout)
        self.assertGreater(len(want["detections"]), 1)
        for thing in want["detections"]:
            distances = [np.abs(np.subtract(f[2:], thing["box"])).max() for f in found if f[0] == thing["class_id"]]
            self.assertLess(min(distances), 30, "pixels off: another resizing, not another box")


if __name__ == "__main__":
    unittest.main()

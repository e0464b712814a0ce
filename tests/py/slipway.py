"""How the tests call the program, and where they find data."""

import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLIPWAY_BUILD", ROOT / "build"))
PROGRAM = BUILD / "slipway"
# Without a home no timing cache is left behind, nor found.
UNSET = ("SLIPWAY_MODEL", "SLIPWAY_CPU_MASK", "NO_COLOR", "HOME", "XDG_CACHE_HOME")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in UNSET}
SAMPLE_MODEL = ROOT / "models/person.onnx"


def data(*parts):
    """A path in the data folder (SLIPWAY_DATA, or ../shared/data); skips the test when it is not there."""
    folder = pathlib.Path(os.environ.get("SLIPWAY_DATA", ROOT.parent / "shared/data"))
    path = folder.joinpath(*parts)
    if not path.exists():
        raise unittest.SkipTest("no test data")
    return path


def run(*arguments, expect=0, timeout=120, input=None, env=None, cwd=None):
    """Runs the program; returns the finished process, with its output as text (bytes that are no UTF-8 are replaced).
    `expect`: the exit code that it must have, None for any."""
    process = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        timeout=timeout,
        env={**ENVIRONMENT, **(env or {})},
        cwd=cwd,
    )
    process.stdout = process.stdout.decode(errors="replace")
    process.stderr = process.stderr.decode(errors="replace")
    if expect is not None and process.returncode != expect:
        raise AssertionError(
            f"slipway {' '.join(map(str, arguments))}: exit code {process.returncode}, expected {expect}\n"
            f"{process.stderr}"
        )
    return process


def export(*arguments, **options):
    """`slipway export` without its own comparison, for tests that compare themselves."""
    return run("export", *arguments, "--no-verify", **options)


def run_model(model, inputs, folder, *options):
    """`slipway run` on arrays by name; returns the outputs by file name without .npy."""
    import numpy as np

    folder = pathlib.Path(folder)
    arguments = []
    for index, (name, array) in enumerate(inputs.items()):
        path = folder / f"in_{index}.npy"
        np.save(path, array)
        arguments += ["--input", f"{name}={path}"]
    out = folder / "out"
    out.mkdir(exist_ok=True)
    run("run", model, *arguments, "--output-dir", out, *options)
    return {path.stem: np.load(path) for path in out.glob("*.npy")}


def file_name(output):
    """How `slipway run` names an output's file, without .npy."""
    return output.replace("/", "_")

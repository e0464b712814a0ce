"""The real Triton, for comparisons: started from what `tools/peers triton` fetches; and repositories of models for both
servers: for Triton its Python backend computes, for Slipway its own "identity" and ONNX models.
Not named triton: torch imports a package of that name."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = pathlib.Path(os.environ.get("SLIPWAY_TRITON", ROOT / "build/peers/triton"))
STARTS_IN_S = 90

# What a model of the Python backend does: outputs from inputs, both lists of arrays.
MODEL_PY = """import json

import triton_python_backend_utils as utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.inputs = [port["name"] for port in config["input"]]
        self.outputs = [port["name"] for port in config["output"]]

    def execute(self, requests):
        answers = []
        for request in requests:
            x = [utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs]
            y = {compute}
            answers.append(utils.InferenceResponse([utils.Tensor(n, v) for n, v in zip(self.outputs, y)]))
        return answers
"""


def is_there():
    return (HOME / "bin/tritonserver").exists()


def write_config(folder, backend, max_batch, inputs, outputs, more=""):
    """`inputs`, `outputs`: (name, type, dims[, more]) each."""
    text = f'backend: "{backend}"\nmax_batch_size: {max_batch}\n' if backend else f"max_batch_size: {max_batch}\n"
    for kind, ports in (("input", inputs), ("output", outputs)):
        for name, dtype, dims, *rest in ports:
            dims = ", ".join(map(str, dims))
            text += f'{kind} {{ name: "{name}" data_type: TYPE_{dtype} dims: [ {dims} ] {" ".join(rest)} }}\n'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(text + more)


def write_python(folder, compute, versions=(1,)):
    """model.py of the Python backend for each version; `compute`: an expression over x, a list of arrays."""
    for version in versions:
        (folder / str(version)).mkdir(parents=True, exist_ok=True)
        (folder / str(version) / "model.py").write_text(MODEL_PY.replace("{compute}", compute))


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Triton:
    """`tritonserver` on a repository, with these arguments; ports are `http`, `grpc`, `metrics`. Its log: `log`, a file."""

    def __init__(self, repository, log, *arguments):
        self.http, self.grpc, self.metrics = free_ports(3)
        command = [
            HOME / "bin/tritonserver",
            "--model-repository",
            repository,
            "--backend-directory",
            HOME / "backends",
        ]
        command += ["--http-address", "127.0.0.1", "--http-port", self.http, "--grpc-address", "127.0.0.1"]
        command += ["--grpc-port", self.grpc, "--metrics-port", self.metrics, *arguments]
        environment = dict(os.environ, LD_LIBRARY_PATH=str(HOME / "lib/triton"))
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment
            )
        deadline = time.monotonic() + STARTS_IN_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("no Triton: " + pathlib.Path(log).read_text()[-2000:])
            time.sleep(0.05)

    @property
    def pid(self):
        return self.process.pid

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/health/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

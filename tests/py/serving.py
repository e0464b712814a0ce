"""A server for the tests: started on free ports, stopped at the end."""

import pathlib
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

import slipway

STARTS_IN_S = 30


def identity_model(path, dtype=1, shape=("n", 16), n=1):
    """INPUT0.. to OUTPUT0.. without change; `dtype`: an onnx.TensorProto's, float32 by default."""
    import onnx  # here: benchmarks start servers, too, and do without
    from onnx import helper

    kind = [
        [helper.make_tensor_value_info(f"{name}{i}", dtype, shape) for i in range(n)] for name in ("INPUT", "OUTPUT")
    ]
    nodes = [helper.make_node("Identity", [f"INPUT{i}"], [f"OUTPUT{i}"]) for i in range(n)]
    graph = helper.make_graph(nodes, "identity", kind[0], kind[1])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return pathlib.Path(path)


class Server:
    """`slipway serve` with these arguments; ports are `http`, `grpc`, `metrics`. `context`: of ssl, where HTTP has TLS."""

    def __init__(self, *arguments, context=None, env=None):
        self.context = context
        ports = [] if "--port" in arguments else ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
        command = [slipway.PROGRAM, "serve", "--host", "127.0.0.1", *ports, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env or slipway.ENVIRONMENT
        )
        self.log, self.listening = [], threading.Event()
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        if not self.listening.wait(STARTS_IN_S) or not hasattr(self, "http"):
            self.stop()
            raise AssertionError("no server: " + "".join(self.log))
        self.url, self.grpc_url = f"127.0.0.1:{self.http}", f"127.0.0.1:{self.grpc}"
        deadline = time.monotonic() + STARTS_IN_S
        while self.get("/v2/health/ready", headers={"Admin-Key": "secret"})[0] == 400:  # for servers with that key
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError("not ready: " + "".join(self.log))
            time.sleep(0.01)

    def read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            ports = re.search(r"HTTP on port (\d+), gRPC on (\d+), metrics on (\d+)", line)
            if ports:
                self.http, self.grpc, self.metrics = map(int, ports.groups())
                self.listening.set()
        self.listening.set()

    def get(self, path, data=None, headers=None, method=None, port=None):
        """Status, headers and body of one request; errors are answers, too."""
        secure = self.context and port in (None, self.http)
        base = f"{'https' if secure else 'http'}://127.0.0.1:{port or self.http}"
        request = urllib.request.Request(base + path, data=data, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context if secure else None) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def stop(self):
        """The exit code after SIGTERM, and all that was logged."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server does not stop") from None
        self.reader.join(5)
        self.process.stderr.close()
        log = "".join(self.log)
        if "Sanitizer" in log or "runtime error: " in log:  # of builds with sanitizers
            raise AssertionError(log)
        return code, log

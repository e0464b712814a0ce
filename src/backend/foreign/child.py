"""The child for runtimes that are reached through Python: answers questions on standard input as wire.h says.

A class a runtime: `inputs` and `outputs` (name, dtype, shape), `used` (settings as it took them), bind, run, results. What it
prints goes to standard error."""

import importlib.metadata
import os
import struct
import sys
import time

OPEN, BIND, RUN, TIME, ANSWER, ERROR = 1, 2, 3, 4, 100, 101
UNSUPPORTED = 3  # SW_E_UNSUPPORTED
MOST = 4 << 30
TYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
         11: "float64", 12: "uint32", 13: "uint64"}
NUMBERS = {name: number for number, name in TYPES.items()}


class Wire:
    def __init__(self, body=b""):
        self.body, self.at, self.parts = body, 0, []

    def take(self, size):
        if size < 0 or self.at + size > len(self.body):
            raise ValueError("a question of the parent is broken")
        self.at += size
        return self.body[self.at - size : self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def text(self):
        return bytes(self.take(self.number("i"))).decode(errors="replace")

    def port(self):
        name, number, rank = self.text(), self.number("i"), self.number("i")
        return name, TYPES.get(number), [self.number("q") for _ in range(rank)]

    def tensor(self):
        import numpy

        name, kind, shape = self.port()
        return name, numpy.frombuffer(self.take(self.number("q")), kind).reshape(shape).copy()

    def put(self, form, *values):
        self.parts.append(struct.pack("<" + form, *values))

    def put_text(self, text):
        data = str(text).encode()[:65536]
        self.put("i", len(data))
        self.parts.append(data)

    def put_port(self, name, kind, shape):
        self.put_text(name)
        self.put("ii", NUMBERS.get(str(kind), 0), -1 if shape is None else len(shape))
        for dim in shape or ():
            self.put("q", int(dim))

    def put_tensor(self, name, array):
        import numpy

        array = numpy.ascontiguousarray(array)
        self.put_port(name, array.dtype, array.shape)
        self.put("q", array.nbytes)
        self.parts.append(array.tobytes())


class LiteRT:
    distribution = "ai-edge-litert"

    def __init__(self, path, threads, wanted, shapes):
        from ai_edge_litert.interpreter import Interpreter

        self.net = Interpreter(path, num_threads=threads or None)
        for index, detail in enumerate(self.net.get_input_details()):
            shape = wanted_shape(shapes, detail["name"], index)
            if shape and -1 in list(detail.get("shape_signature", ())):
                self.net.resize_tensor_input(detail["index"], shape)
        self.net.allocate_tensors()
        self.ins, self.outs = self.net.get_input_details(), self.net.get_output_details()
        self.inputs = [(d["name"], d["dtype"]().dtype, list(d["shape"])) for d in self.ins]
        self.outputs = [(d["name"], d["dtype"]().dtype, list(d["shape"])) for d in self.outs]
        self.used = {"num_threads": threads, "delegate": "XNNPACK"}

    def bind(self, tensors):
        for detail, (_, array) in zip(self.ins, tensors):
            self.net.set_tensor(detail["index"], array)

    def run(self):
        self.net.invoke()

    def results(self):
        return [(d["name"], self.net.get_tensor(d["index"])) for d in self.outs]


class Ncnn:
    distribution = "ncnn"

    def __init__(self, path, threads, wanted, shapes):
        import ncnn

        self.ncnn, self.net = ncnn, ncnn.Net()
        half = wanted.get("precision", "fp32") == "fp16"
        options = self.net.opt
        options.num_threads = threads or os.cpu_count()
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = half
        options.use_bf16_storage = wanted.get("precision") == "bf16"
        stem = path[: -len(".param")] if path.endswith(".param") else path
        if self.net.load_param(stem + ".param") or self.net.load_model(stem + ".bin"):
            raise ValueError("the model was refused: ncnn wants NAME.param and NAME.bin")
        self.inputs = [(name, "float32", wanted_shape(shapes, name, i)) for i, name in enumerate(self.net.input_names())]
        self.outputs = [(name, "float32", None) for name in self.net.output_names()]
        self.used = {"num_threads": options.num_threads, "precision": wanted.get("precision", "fp32")}

    def bind(self, tensors):
        self.arrays = [array for _, array in tensors]
        if any(array.shape[0] != 1 for array in self.arrays if array.ndim == 4):
            raise ValueError("ncnn takes one picture at a time")
        self.mats = [self.ncnn.Mat(array[0] if array.ndim == 4 else array) for array in self.arrays]

    def run(self):
        extractor = self.net.create_extractor()
        for (name, _, _), mat in zip(self.inputs, self.mats):
            extractor.input(name, mat)
        self.last = [extractor.extract(name)[1] for name, _, _ in self.outputs]

    def results(self):
        import numpy

        return [(name, numpy.array(mat)[None]) for (name, _, _), mat in zip(self.outputs, self.last)]


class Torch:
    """On a GPU (`device`) a run is timed there by events, without copies, unless `transfers` asks for them; it is a CUDA graph
    unless `graph` is 0. `compile`: a mode of torch.compile. `fuse`: let TorchScript make kernels, which can take minutes."""

    distribution = "torch"

    def __init__(self, path, threads, wanted, shapes):
        import torch

        self.torch = torch
        if threads:
            torch.set_num_threads(threads)
        self.device = torch.device(wanted.get("device", "cpu"))
        self.gpu = self.device.type == "cuda"
        self.precision = wanted.get("precision", "fp16" if self.gpu else "fp32")
        if self.precision not in ("fp32", "tf32", "bf16", "fp16"):
            raise ValueError(f"there is no precision '{self.precision}'; fp32, tf32, bf16 and fp16 are")
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision, torch.float32)
        self.channels_last = wanted.get("channels_last", "1" if self.gpu else "0") != "0"
        self.transfers = wanted.get("transfers", "0") != "0"
        self.graph = self.gpu and wanted.get("graph", "1") != "0"
        self.fuse = wanted.get("fuse", "0") != "0"
        self.net = self.load(path).to(self.device)
        if self.gpu:
            self.net = self.net.to(self.dtype)
            torch.backends.cudnn.benchmark = True
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "fp32"
        if self.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        mode = wanted.get("compile", "")
        if mode:  # graphs are captured here: those of torch.compile copy their inputs
            known = {"max-autotune": "max-autotune-no-cudagraphs"}
            self.net = torch.compile(self.net, mode=known.get(mode, mode), dynamic=False)
        names = [name for name, _, _ in shapes] or ["images"]
        self.inputs = [(name, "float32", wanted_shape(shapes, name, i)) for i, name in enumerate(names)]
        self.outputs = []
        notes = {(False, "bf16"): " (autocast)", (False, "fp16"): " (autocast)"}
        precision = self.precision + notes.get((self.gpu, self.precision), "")
        self.used = {"num_threads": torch.get_num_threads(), "precision": precision, "channels_last": int(self.channels_last)}
        if self.gpu:
            self.used |= {"device": torch.cuda.get_device_name(self.device), "graph": int(self.graph)}
        if mode:
            self.used["compile"] = mode

    def load(self, path):
        import zipfile

        if zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist()):
            return self.torch.jit.load(path, map_location="cpu").eval()
        import tempfile

        from ultralytics import YOLO

        # It takes yolov5n.pt, or a folder of that name, for yolov5nu.pt, and downloads that.
        with tempfile.TemporaryDirectory() as folder:
            link = os.path.join(folder, "model.pt")
            os.symlink(os.path.abspath(path), link)
            net = YOLO(link if "yolov3" in path or "yolov5" in path else path).model.float().eval().fuse()
        for module in net.modules():
            if hasattr(module, "export"):  # heads: raw outputs, as exported models give them
                module.export, module.format = True, "onnx"
        for parameter in net.parameters():
            parameter.requires_grad = False
        return net

    def bind(self, tensors):
        self.hosts = [self.torch.from_numpy(array) for _, array in tensors]
        self.arrays = [a.to(self.device, self.dtype if self.gpu else a.dtype) for a in self.hosts]
        if self.channels_last:
            self.arrays = [a.to(memory_format=self.torch.channels_last) if a.ndim == 4 else a for a in self.arrays]
        self.captured = None
        if self.graph:
            self.capture()

    def capture(self):
        torch, side = self.torch, self.torch.cuda.Stream(self.device)
        with torch.inference_mode(), torch.jit.optimized_execution(self.fuse):
            with torch.cuda.stream(side):
                for _ in range(3):
                    self.last = self.net(*self.arrays)
            side.synchronize()
            self.captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.captured):
                self.last = self.net(*self.arrays)

    def compute(self):
        cpu_half = not self.gpu and self.dtype != self.torch.float32
        half = self.torch.autocast("cpu", self.dtype, enabled=cpu_half)
        with self.torch.inference_mode(), self.torch.jit.optimized_execution(self.fuse), half:
            if self.captured:
                self.captured.replay()
            else:
                self.last = self.net(*self.arrays)

    def run(self):
        if self.gpu:
            for array, host in zip(self.arrays, self.hosts):
                array.copy_(host)
        self.compute()
        if self.gpu:
            self.results()

    def timed(self):
        """Nanoseconds of a run."""
        if not self.gpu or self.transfers:
            start = time.perf_counter_ns()
            self.run()
            return time.perf_counter_ns() - start
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        self.compute()
        end.record()
        end.synchronize()
        return int(begin.elapsed_time(end) * 1e6)

    def results(self):
        found = []

        def collect(value):
            if isinstance(value, self.torch.Tensor):
                found.append((f"output{len(found)}", value.float().cpu().numpy()))
            elif isinstance(value, (dict, list, tuple)):
                for part in value.values() if isinstance(value, dict) else value:
                    collect(part)

        collect(self.last)
        return found


RUNTIMES = {"litert": LiteRT, "ncnn": Ncnn, "torch": Torch}


def wanted_shape(shapes, name, index):
    for known, _, shape in shapes:
        if known == name:
            return shape
    return shapes[index][2] if index < len(shapes) else None


class Server:
    net = bound = None

    def open(self, wire, answer):
        name, path, threads = wire.text(), wire.text(), wire.number("i")
        wanted = dict((wire.text(), wire.text()) for _ in range(wire.number("i")))
        shapes = [wire.port() for _ in range(wire.number("i"))]
        runtime = RUNTIMES[name]
        begin = time.perf_counter_ns()
        used, inputs, outputs = {}, [], []
        if path:
            self.net = runtime(path, threads, wanted, shapes)
            used, inputs, outputs = self.net.used, self.net.inputs, self.net.outputs
        answer.put_text(importlib.metadata.version(runtime.distribution))
        answer.put("q", time.perf_counter_ns() - begin)
        answer.put("i", len(used))
        for key, value in used.items():
            answer.put_text(key)
            answer.put_text(value)
        for ports in (inputs, outputs):
            answer.put("i", len(ports))
            for port in ports:
                answer.put_port(*port)

    def bind(self, wire, answer):
        self.net.bind([wire.tensor() for _ in range(wire.number("i"))])

    def run(self, wire, answer):
        self.net.run()
        results = self.net.results()
        answer.put("i", len(results))
        for name, array in results:
            answer.put_tensor(name, array)

    def timed(self):
        start = time.perf_counter_ns()
        self.net.run()
        return time.perf_counter_ns() - start

    def time(self, wire, answer):
        ns, least, most = wire.number("q"), wire.number("i"), wire.number("i")
        begin, times = time.perf_counter_ns(), []
        timed = getattr(self.net, "timed", self.timed)
        while len(times) < most and (len(times) < least or time.perf_counter_ns() - begin < ns):
            times.append(timed())
        answer.put(f"i{len(times)}q", len(times), *times)


def read(stream, size):
    data = stream.read(size)
    if len(data) < size:
        os._exit(0)
    return data


def main():
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    server = Server()
    verbs = {OPEN: server.open, BIND: server.bind, RUN: server.run, TIME: server.time}
    while True:
        magic, kind, size = struct.unpack("<4sIQ", read(questions, 16))
        if magic != b"SWFC" or size > MOST:
            os._exit(1)
        wire, answer, reply = Wire(memoryview(read(questions, size))), Wire(), ANSWER
        try:
            verbs[kind](wire, answer)
        except Exception as error:  # whatever it is becomes the parent's sentence
            lines = f"{type(error).__name__}: {error}".strip().splitlines()
            answer, reply = Wire(), ERROR
            answer.put("i", UNSUPPORTED)
            answer.put_text(lines[0][:1000])
        body = b"".join(answer.parts)
        answers.write(struct.pack("<4sIQ", b"SWFC", reply, len(body)) + body)
        answers.flush()


main()

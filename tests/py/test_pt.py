"""Checkpoints without Python: what Slipway computes from .pt files against PyTorch, made on the spot where Ultralytics'
package is installed; hostile and damaged files. SLIPWAY_MUTATIONS: how many damaged files (default 50)."""

import concurrent.futures
import io
import os
import pathlib
import pickle
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import warnings
import zipfile
import zlib

import numpy as np

import slipway
import test_mutations
import zoo

TOLERANCE = 1e-3  # of the scale of a row group
SIZES = ((1, 3, 192, 128), (2, 3, 128, 256))  # small, not square, and enough positions for end-to-end heads
FAMILIES = (
    *("yolov3-tiny", "yolov5n", "yolov6n", "yolov8n", "yolov8n-p2", "yolov8n-p6", "yolov8n-ghost"),
    *("yolov9t", "yolov9c", "yolov10n", "yolo11n", "yolo12n", "yolo26n"),
    *(f"{family}-{task}" for family in ("yolov8n", "yolo11n", "yolo26n") for task in ("seg", "pose", "obb", "cls")),
    *("yolo11-cls-resnet18", "yolo12n-seg", "yolov8n-rtdetr", "rtdetr-l"),
)


def packages():
    """torch and ultralytics, or a skipped test."""
    warnings.filterwarnings("ignore")
    os.environ.update(YOLO_VERBOSE="False", YOLO_OFFLINE="true")
    try:
        import torch
        import ultralytics
    except ImportError as missing:
        raise unittest.SkipTest(f"no {missing.name}") from None
    torch.set_num_threads(2)
    return torch, ultralytics


def make_model(torch, ultralytics, name, settled=True):
    """A model with random weights; `settled`: with statistics that fit them, so that activations keep their scale."""
    kind = ultralytics.RTDETR if "rtdetr" in name else ultralytics.YOLO
    import torchvision

    unweighted = torchvision.models.get_model
    with unittest.mock.patch("torchvision.models.get_model", lambda name, weights: unweighted(name)):  # fetches nothing
        model = kind(f"{name}.yaml").model.float().eval()
    if not settled:
        return model
    generator = torch.Generator().manual_seed(1)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for module in model.modules():
        bias = getattr(module, "bias", None)
        if isinstance(module, torch.nn.Conv2d) and bias is not None and bias.mean() < -2:
            bias.data.zero_()  # else all scores are tiny, and rounding is all that is measured
    for norm in norms:
        norm.weight.data += torch.randn(norm.weight.shape, generator=generator) * 0.1
        norm.bias.data += torch.randn(norm.bias.shape, generator=generator) * 0.1
        norm.train().momentum = 1.0
    with torch.no_grad():
        model(torch.rand(4, 3, 256, 256, generator=generator))
    for norm in norms:
        norm.eval().momentum = 0.03
    return model


def as_exported(model, end2end=False):
    """Switches the head to what it does for ONNX."""
    for module in model.modules():
        if hasattr(module, "export"):
            module.export, module.format, module.dynamic, module.shape = True, "onnx", True, None
    if hasattr(model.model[-1], "one2one_cv2"):
        model.end2end = end2end  # heads that suppress doubles themselves
    return model


def reference_outputs(torch, model, images, end2end=False):
    with torch.no_grad():
        outputs = as_exported(model, end2end)(torch.from_numpy(images))
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    return [output.numpy() for output in outputs if isinstance(output, torch.Tensor)]


def final_error(got, want):
    """The error of rows box, score, class, ...: of scores by rank; of rows beside the nearest of the others, but for 1 in 100:
    rounding sets rows of nearly equal scores in another order, and the last places of the ranking go to others."""
    scale = np.abs(want).max((0, 1)) + 1e-9
    errors = [(np.abs(g[None] - w[:, None]) / scale).max(2).min(0) for g, w in zip(got, want)]
    return max(np.abs(got[..., 4] - want[..., 4]).max() / scale[4], np.quantile(errors, 0.99))


def output_error(got, want):
    """The largest error of an output of a detector with 80 classes, in units of its row group's scale."""
    if got.shape != want.shape:
        return np.inf
    if want.ndim == 3 and want.shape[1] == 300:
        return final_error(got, want)
    return zoo.worst_error(got, want, *((1, (4, 84)) if want.ndim == 3 else (None, ())))


class Checkpoints(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def check_outputs(self, path, model, torch, sizes, cuts, end2end=False):
        for size in sizes:
            images = zoo.uniform("images", size, 0, 1).astype(np.float32)
            got = slipway.run_model(path, {"images": images}, self.folder)
            for index, want in enumerate(reference_outputs(torch, model, images, end2end)):
                ours = got[f"output{index}"]
                self.assertEqual(ours.shape, want.shape)
                if want.ndim == 3 and want.shape[1] == 300:
                    error = final_error(ours, want)
                else:
                    error = zoo.worst_error(ours, want, *(cuts if want.ndim == 3 else (None, ())))
                self.assertLess(error, TOLERANCE, f"{path.name} output{index} at {size}")

    def check_family(self, name):
        torch, ultralytics = packages()
        model = make_model(torch, ultralytics, name)
        path = self.folder / f"{name}.pt"
        torch.save({"model": model, "ema": None, "train_args": {"imgsz": 640}}, path)
        # The encoder of RT-DETR picks 300 positions: there must be more.
        sizes = ((1, 3, 192, 256), (1, 3, 256, 192)) if "rtdetr" in name else SIZES
        self.check_outputs(path, model, torch, sizes, (1, (4, 84)))
        if hasattr(model.model[-1], "one2one_cv2"):
            with unittest.mock.patch.dict(slipway.ENVIRONMENT, {"SLIPWAY_END2END": "1"}):
                self.check_outputs(path, model, torch, sizes, (1, (4, 84)), end2end=True)

    def check_file(self, name, sizes, cuts):
        torch, ultralytics = packages()
        path = slipway.data("models", name)
        model = ultralytics.YOLO(shutil.copy(path, self.folder / "copy.pt")).model.float().eval()
        self.check_outputs(path, model, torch, sizes, cuts)

    def test_yolo11n(self):
        self.check_file("yolo11n.pt", ((1, 3, 640, 480),), (1, (4,)))

    def test_yolo11n_cls(self):
        self.check_file("yolo11n-cls-10.pt", ((1, 3, 224, 224),), (None, ()))

    def test_metadata(self):
        torch, ultralytics = packages()
        path = self.folder / "pose.pt"
        torch.save({"model": ultralytics.YOLO("yolo26n-pose.yaml").model}, path)
        report = slipway.run("inspect", path).stdout
        for word in ("pose", "[17, 3]"):
            self.assertIn(word, report)

    def test_half_and_bfloat16(self):
        torch, ultralytics = packages()
        for dtype in (torch.float16, torch.bfloat16):
            model = make_model(torch, ultralytics, "yolov8n").to(dtype)
            path = self.folder / "typed.pt"
            torch.save({"model": model}, path)
            self.check_outputs(path, model.float(), torch, SIZES[:1], (1, (4, 84)))

    def test_ema_widths_and_channels(self):
        """Weights of the moving average; another width, number of classes and of channels; fused layers."""
        torch, ultralytics = packages()
        from ultralytics.nn.tasks import DetectionModel

        yaml = ultralytics.YOLO("yolo11n.yaml").model.yaml
        model = DetectionModel({**yaml, "scales": {"n": [0.5, 0.37, 1024]}, "channels": 5}, ch=5, nc=3, verbose=False)
        model = model.float().eval().fuse(verbose=False)
        path = self.folder / "other.pt"
        torch.save({"model": None, "ema": model, "train_args": {}}, path)
        self.check_outputs(path, model, torch, ((1, 5, 96, 64),), (1, (4, 7)))

    def test_other_activations(self):
        torch, ultralytics = packages()
        from ultralytics.nn.tasks import DetectionModel

        yaml = ultralytics.YOLO("yolov8n.yaml").model.yaml
        for activation in ("PReLU()", "SELU()"):
            model = DetectionModel({**yaml, "activation": f"torch.nn.{activation}"}, verbose=False).float().eval()
            path = self.folder / "activation.pt"
            torch.save({"model": model, "train_args": {}}, path)
            self.check_outputs(path, model, torch, ((1, 3, 96, 64),), (1, (4, 84)))


for family_name in FAMILIES:
    setattr(Checkpoints, f"test_{family_name}", lambda self, name=family_name: self.check_family(name))


# ---- Hostile and damaged files ----------------------------------------------------------------------------------------


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def archive(data, name="m/data.pkl"):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as members:
            members.writestr(name, data)
            members.writestr("m/version", "3\n")
        return file.getvalue()


def overlapping():
    """An archive with two entries over the same bytes."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as members:
            for name in ("m/data.pkl", "m/copy.pkl"):
                members.writestr(name, b"\x80\x02N.")
        data = bytearray(file.getvalue())
    first, second = data.find(b"PK\1\2"), data.rfind(b"PK\1\2")
    data[second : second + second - first] = data[first:second]
    return bytes(data)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def dictionary(items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def record(name, **state):
    """An object of a class, with its state."""
    return f"c{name.replace(' ', chr(10))}\n)\x81".encode("latin-1") + dictionary(state) + b"b"


def oversize(elements, *shape):
    """A checkpoint whose first weights say that they have so many elements and such a shape: the storage has 64 bytes."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(elements) + b"tQ"
    sizes = b"(" + b"".join(map(number, shape)) + b"t"
    weight = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(0) + 2 * sizes + b"\x89}tR"
    layer = record("torch.nn.modules.conv Conv2d", _parameters=dictionary({"weight": weight}))
    layers = record("torch.nn.modules.container Sequential", _modules=dictionary({"0": layer, "1": layer}))
    model = record("ultralytics.nn.tasks DetectionModel", _modules=dictionary({"model": layers}))
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as members:
            members.writestr("m/data.pkl", b"\x80\x02" + dictionary({"model": model}) + b".")
            members.writestr("m/data/0", bytes(64))
        return file.getvalue()


def attacks(marker):
    """Name -> bytes of a checkpoint that would make a file if anything in it were run."""
    command = f"touch {marker}"
    calls = {
        "os.system": Attack(os.system, command),
        "eval": Attack(eval, f"open({str(marker)!r}, 'w')"),
        "exec": Attack(exec, f"open({str(marker)!r}, 'w')"),
        "open": Attack(open, str(marker), "w"),
        "subprocess": Attack(subprocess.Popen, ["touch", str(marker)]),
        "getattr": Attack(getattr, Attack(__import__, "os"), "system"),
        "nested": {"model": [Attack(map, os.system, [command])]},
        "shutil": Attack(shutil.move, str(marker), str(marker)),
    }
    files = {name: archive(pickle.dumps(call, protocol=2)) for name, call in calls.items()}
    files["stack_global"] = archive(pickle.dumps(calls["os.system"], protocol=4))
    files["memo"] = archive(b"\x80\x02Nr\xff\xff\xff\x7f.")
    pairs = b"".join(b"h%c\x86q%c" % (i, i + 1) for i in range(100))  # of the pair before: 2^100 in all
    files["memo bomb"] = archive(b"\x80\x02)q\0" + pairs + b".")
    files["oversize storage"] = oversize(1 << 40, 1 << 40)
    files["oversize shape"] = oversize(16, 1 << 31, 1 << 31, 3, 3)
    files["overlapping entries"] = overlapping()
    files["climbing name"] = archive(b"\x80\x02N.", "../data.pkl")
    return files


class Hostile(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_nothing_is_executed(self):
        strace = shutil.which("strace")
        if not strace:
            self.skipTest("no strace")
        marker = self.folder / "executed"
        for name, data in attacks(marker).items():
            path, log = self.folder / "hostile.pt", self.folder / "log"
            path.write_bytes(data)
            calls = "trace=execve,execveat,fork,vfork,connect,unlink,rename"
            process = subprocess.run(
                [strace, "-f", "-qq", "-e", calls, "-o", log, slipway.PROGRAM, "inspect", path],
                capture_output=True,
                text=True,
                timeout=60,
            )
            if "ptrace" in process.stderr.lower():
                self.skipTest("strace may not trace here")
            self.assertIn(process.returncode, (2, 3), f"{name}: {process.stderr}")
            self.assertGreater(len(process.stderr.split()), 5, name)
            seen = [line for line in log.read_text().splitlines() if "exited" not in line and "SIG" not in line]
            self.assertEqual(len(seen), 1, f"{name}: {seen}")  # the program itself
            self.assertFalse(marker.exists(), name)

    def test_sentences(self):
        for name, data in attacks(self.folder / "executed").items():
            path = self.folder / "hostile.pt"
            path.write_bytes(data)
            error = slipway.run("inspect", path, expect=None).stderr
            words = {
                "stack_global": "opcode 0x",
                "memo": "out of range",
                "memo bomb": "holds a tuple",
                "oversize storage": "should hold 1099511627776 elements, but has 64 bytes",
                "oversize shape": "reaches outside its storage",
                "overlapping entries": "overlap",
                "climbing name": "no checkpoint has",
            }
            self.assertIn(words.get(name, "tries to run code"), error, name)


def repaired(data):
    """The archive with checksums that are right again, where its directory can still be read."""
    data = bytearray(data)
    at = data.find(b"PK\1\2")
    while at >= 0 and at + 46 <= len(data):
        size, offset = struct.unpack_from("<I", data, at + 20)[0], struct.unpack_from("<I", data, at + 42)[0]
        if offset + 30 <= len(data):
            start = offset + 30 + sum(struct.unpack_from("<HH", data, offset + 26))
            struct.pack_into("<I", data, at + 16, zlib.crc32(bytes(data[start : start + size])))
        at = data.find(b"PK\1\2", at + 4)
    return bytes(data)


MEMORY_KB = 1 << 20
# Runs a command and writes its peak of memory (KB) and its processor time (s) as stderr's last line. A process of its own,
# for a child's peak begins with its parent's memory, and that of the tests may hold PyTorch.
MEASURED = """
import os, resource, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
status = os.waitpid(child, 0)[1]
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"\\n{used.ru_maxrss} {used.ru_utime + used.ru_stime:.2f}", end="", file=sys.stderr)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"""


class Mutations(unittest.TestCase):
    def judge(self, folder, seed, good):
        chance = random.Random(f"pt {seed}")
        data = bytearray(good)
        # Half of the changes hit the pickle, where the structure is.
        start = data.find(b"\x80\x02")
        end = data.find(b"PK\3\4", start)
        if seed % 2:
            data[start:end] = test_mutations.damage(bytes(data[start:end]), chance)[: end - start].ljust(end - start, b".")
        else:
            data = bytearray(test_mutations.damage(bytes(data), chance))
        path = folder / f"{seed}.pt"
        path.write_bytes(repaired(data) if seed % 4 else data)
        command = [sys.executable, "-S", "-c", MEASURED, slipway.PROGRAM, "inspect", path]
        process = subprocess.run(command, capture_output=True, timeout=300)  # a hang, whatever else the machine does
        path.unlink()
        error, _, used = process.stderr.decode(errors="replace").rpartition("\n")
        peak, took = map(float, used.split())
        if peak > MEMORY_KB:
            return f"{seed}: took {peak:.0f} KB"
        if process.returncode not in range(5):
            return f"{seed}: exit code {process.returncode}: {error[-2000:]}"
        if process.returncode and len(error.split()) < 3:
            return f"{seed}: exit code {process.returncode} without a sentence"
        return f"{seed}: took {took:.1f} s" if took > test_mutations.LIMIT_S else None

    def test_damaged_checkpoints(self):
        good = slipway.data("models/yolo11n-cls-10.pt").read_bytes()
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            verdicts = pool.map(
                lambda seed: self.judge(pathlib.Path(folder), seed, good), range(test_mutations.COUNT)
            )
            self.assertEqual([verdict for verdict in verdicts if verdict], [])


if __name__ == "__main__":
    unittest.main()

"""Write a trained network as ONNX for Slipway (and anything else that reads ONNX).

    python export.py run1/model.pt person.onnx --keep person --conf 0.4 --check

The graph takes `images` 1x3xHxW (RGB, 0..1; H and W any multiples of 32) and gives `output0` 1x(4+C)xN: centre x,
centre y, width, height in input pixels, then one score per class.  Weights are stored as fp16 and cast to fp32 in the
graph, so all arithmetic is fp32.  The writer follows the network's own forward function (torch.fx).
"""
import argparse
import ast
import datetime
import operator

import numpy as np
import torch
import torch.fx
import torch.nn as nn
import torch.nn.functional as F

from console import UserError, run
from model import BINS, STRIDES, ConvUnit, Detector, load_weights
from quantise import QuantUnit

OPSET, IR = 17, 8


def _onnx():
    try:
        import onnx
        return onnx
    except ImportError:
        raise UserError("exporting needs the onnx package: pip install onnx") from None


class Graph:
    """Collects nodes and initialisers; every method returns the name of a value."""

    def __init__(self):
        self.onnx = _onnx()
        self.nodes, self.inits, self.known = [], [], {}

    def node(self, op, inputs, name, outputs=None, **attributes):
        outs = [name] if outputs is None else outputs
        self.nodes.append(self.onnx.helper.make_node(op, inputs, outs, name=name, **attributes))
        return outs[0] if outputs is None else outs

    def const(self, value, name=None):
        value = np.asarray(value)
        key = (value.dtype.str, value.shape, value.tobytes()) if name is None else name
        if key not in self.known:
            self.known[key] = name or f"const_{len(self.known)}"
            self.inits.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), self.known[key]))
        return self.known[key]

    def weight(self, value, name, half):
        """An fp32 tensor, stored in half the bytes if wanted."""
        if not half:
            return self.const(value.astype(np.float32), name)
        stored = self.const(value.astype(np.float16), name)
        return self.node("Cast", [stored], name + ".float", to=self.onnx.TensorProto.FLOAT)

    def quantised(self, x, scale, zero):
        """Round a value to unsigned 8-bit integers and back; shared by all its readers."""
        key = ("q", x, float(scale), int(zero))
        if key not in self.known:
            s, z = self.const(np.float32(scale)), self.const(np.uint8(zero))
            q = self.node("QuantizeLinear", [x, s, z], x + ".q")
            self.known[key] = self.node("DequantizeLinear", [q, s, z], x + ".dq")
        return self.known[key]


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, module, name):
        return isinstance(module, (ConvUnit, QuantUnit, nn.Conv2d))


class _Maps(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net.maps(x)


def _array(t):
    return t.detach().float().cpu().numpy()


def _conv(g, module, x, path, half):
    """One convolution, with its integer rounding and its SiLU if it has them."""
    conv = module if isinstance(module, nn.Conv2d) else module.conv
    if isinstance(module, ConvUnit):
        w, b = (_array(v) for v in module.folded())
    else:
        w, b = _array(conv.weight), _array(conv.bias)
    if isinstance(module, QuantUnit):
        x = g.quantised(x, module.scale.item(), module.zero.item())
        scale = _array(module.weight_scale())
        q = np.clip(np.rint(w / scale[:, None, None, None]), -127, 127).astype(np.int8)
        ins = [g.const(q, path + ".weight"), g.const(scale, path + ".weight_scale"),
               g.const(np.zeros(len(scale), np.int8))]
        weight = g.node("DequantizeLinear", ins, path + ".weight.float", axis=0)
    else:
        weight = g.weight(w, path + ".weight", half)
    k, p = conv.kernel_size[0], conv.padding[0]
    y = g.node("Conv", [x, weight, g.const(b, path + ".bias")], path + ".conv", kernel_shape=[k, k],
               strides=list(conv.stride), pads=[p] * 4, dilations=[1, 1], group=1)
    if isinstance(module, nn.Conv2d):
        return y
    return g.node("Mul", [y, g.node("Sigmoid", [y], path + ".sigmoid")], path + ".silu")


def _body(g, net, half):
    """The network up to the box and class maps. -> ([box map names], [class map names])"""
    trace = _Tracer().trace(_Maps(net))
    modules = dict(_Maps(net).named_modules())
    value, result = {}, None
    for n in trace.nodes:
        a = torch.fx.node.map_arg(n.args, lambda v: value[v])
        if n.op == "placeholder":
            value[n] = "images"
        elif n.op == "call_module":
            value[n] = _conv(g, modules[n.target], a[0], n.target.removeprefix("net."), half)
        elif n.op == "call_method" and n.target == "split":
            sizes = g.const(np.array(a[1], np.int64))
            value[n] = g.node("Split", [a[0], sizes], n.name, [f"{n.name}.{i}" for i in range(len(a[1]))], axis=a[2])
        elif n.target is operator.getitem:
            value[n] = a[0][a[1]]
        elif n.target is operator.add:
            value[n] = g.node("Add", list(a), n.name)
        elif n.target is torch.cat:
            value[n] = g.node("Concat", list(a[0]), n.name, axis=a[1])
        elif n.name.startswith("max_pool2d"):  # traced under an internal name of PyTorch
            k, s, p = a[1], n.kwargs["stride"], n.kwargs["padding"]
            value[n] = g.node("MaxPool", [a[0]], n.name, kernel_shape=[k, k], strides=[s, s], pads=[p] * 4)
        elif n.target is F.interpolate:
            scales = g.const(np.array([1, 1, 2, 2], np.float32))
            value[n] = g.node("Resize", [a[0], "", scales], n.name, mode="nearest",
                              coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        elif n.op == "output":
            result = a[0]
        else:
            raise AssertionError(f"the network uses {n.op} {n.target}, which the writer does not know")
    return result


def _cells(g, maps):
    """Cell centres (1, 2, N) in strides and strides (1, 1, N), computed from the shapes of the maps."""
    i64 = lambda *v: g.const(np.array(v, np.int64))
    scalar = lambda v: g.const(np.array(v, np.int64))
    centres, strides = [], []
    for m, stride in zip(maps, STRIDES):
        p = f"cells{stride}"
        shape = g.node("Shape", [m], p + ".shape")
        h, w = (g.node("Gather", [shape, scalar(d)], f"{p}.{'hw'[d - 2]}", axis=0) for d in (2, 3))
        both = g.node("Slice", [shape, i64(2), i64(4), i64(0)], p + ".hw")
        axes = []
        for name, count, form in (("x", w, (1, -1)), ("y", h, (-1, 1))):
            v = g.node("Range", [scalar(0), count, scalar(1)], f"{p}.{name}.range")
            v = g.node("Cast", [v], f"{p}.{name}.float", to=g.onnx.TensorProto.FLOAT)
            v = g.node("Add", [v, g.const(np.float32(0.5))], f"{p}.{name}.centre")
            v = g.node("Reshape", [v, i64(*form)], f"{p}.{name}.line")
            v = g.node("Expand", [v, both], f"{p}.{name}.grid")
            axes.append(g.node("Reshape", [v, i64(1, 1, -1)], f"{p}.{name}"))
        centres.append(g.node("Concat", axes, p + ".xy", axis=1))
        zero = g.node("Mul", [axes[0], g.const(np.float32(0))], p + ".zero")
        strides.append(g.node("Add", [zero, g.const(np.float32(stride))], p + ".stride"))
    return g.node("Concat", centres, "cells", axis=2), g.node("Concat", strides, "strides", axis=2)


def _decode(g, boxes, scores, classes):
    """From the maps to output0, in the same steps as other exporters of this layout, so that engines recognise it."""
    i64 = lambda *v: g.const(np.array(v, np.int64))
    flat = []
    for kind, maps, rows in (("box", boxes, 4 * BINS), ("cls", scores, classes)):
        parts = [g.node("Reshape", [m, i64(1, rows, -1)], f"{kind}{i}.flat") for i, m in enumerate(maps)]
        flat.append(g.node("Concat", parts, kind + ".flat", axis=2))
    d = g.node("Reshape", [flat[0], i64(1, 4, BINS, -1)], "dfl.split")
    d = g.node("Softmax", [g.node("Transpose", [d], "dfl.transpose", perm=[0, 2, 1, 3])], "dfl.softmax", axis=1)
    bins = g.const(np.arange(BINS, dtype=np.float32).reshape(1, BINS, 1, 1), "dfl.weight")
    d = g.node("Conv", [d, bins], "dfl.conv", kernel_shape=[1, 1], strides=[1, 1], pads=[0] * 4, dilations=[1, 1],
               group=1)
    d = g.node("Reshape", [d, i64(1, 4, -1)], "dfl.sides")
    low = g.node("Slice", [d, i64(0), i64(2), i64(1)], "decode.left_top")
    high = g.node("Slice", [d, i64(2), i64(4), i64(1)], "decode.right_bottom")
    cells, strides = _cells(g, boxes)
    x0y0 = g.node("Sub", [cells, low], "decode.x0y0")
    x1y1 = g.node("Add", [cells, high], "decode.x1y1")
    centre = g.node("Div", [g.node("Add", [x0y0, x1y1], "decode.sum"), g.const(np.float32(2))], "decode.centre")
    size = g.node("Sub", [x1y1, x0y0], "decode.size")
    box = g.node("Concat", [centre, size], "decode.xywh", axis=1)
    box = g.node("Mul", [box, strides], "decode.pixels")
    return g.node("Concat", [box, g.node("Sigmoid", [flat[1]], "scores")], "output0", axis=1)


def _metadata(names, size, conf, extra):
    """Values are Python literals as text, the convention of detectors with this output layout."""
    return dict(description="Slipway detector", author="Slipway", date=datetime.date.today().isoformat(),
                version="1", license="Apache-2.0", stride=32, task="detect", batch=1, channels=3, imgsz=list(size),
                names=names, conf=conf) | extra


def export(net, names, path, size=(416, 416), keep=None, conf=0.25, half=True, **metadata):
    """Write `net`; `keep` lists the class ids to export, renumbered from 0."""
    net = net.eval().cpu()
    if keep is not None and list(keep) != list(names):
        net.keep_classes(list(keep))
        names = {i: names[c] for i, c in enumerate(keep)}
    g = Graph()
    boxes, scores = _body(g, net, half)
    _decode(g, boxes, scores, len(names))
    helper, FLOAT = g.onnx.helper, g.onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        g.nodes, "slipway_detector", [helper.make_tensor_value_info("images", FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info("output0", FLOAT, [1, 4 + len(names), "cells"])], g.inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
                              producer_name="slipway")
    for key, value in _metadata(names, size, conf, metadata).items():
        model.metadata_props.add(key=key, value=str(value))
    g.onnx.checker.check_model(model)
    g.onnx.save(model, path)


def check(net, path, sizes=((320, 320), (416, 416), (416, 320), (640, 480))):
    """[(height, width, largest box difference in pixels, largest score difference)] of the file against PyTorch."""
    from evaluate import OnnxModel, TorchModel
    model, rows = OnnxModel(path), []
    rng = np.random.default_rng(0)
    for size in sizes:
        x = rng.random((1, 3, *size), np.float32)
        away = np.abs(model(x) - TorchModel(net, model.names, size)(x))
        rows.append((*size, float(away[:, :4].max()), float(away[:, 4:].max())))
    return rows


def load_onnx(path, pictures):
    """Read back a float network that `export` wrote -> (Detector, names), ready to be trained further.

    Folded batch norms are rebuilt so that they change nothing on `pictures` (B, 3, H, W).
    """
    onnx = _onnx()
    try:
        model = onnx.load(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception:
        raise UserError(f"{path} is not an ONNX model") from None
    w = {i.name: torch.tensor(onnx.numpy_helper.to_array(i).astype(np.float32)) for i in model.graph.initializer}
    names = {p.key: p.value for p in model.metadata_props}.get("names")
    if names is None or "stem.weight" not in w or "stem.weight_scale" in w:
        raise UserError(f"{path} was not written by this trainer as a float model, so training cannot start from it")
    names = ast.literal_eval(names)
    widths = {}
    for name, _, outs in Detector(1).wiring():
        rows = w[name + ".weight"].shape[0]
        if len(outs) == 1 and outs[0]:
            widths[outs[0]] = rows
        elif len(outs) == 2:  # a stage's first convolution feeds the kept part and the residual blocks
            inner = w[name.replace(".inp", ".blocks.0.a") + ".weight"].shape[1]
            widths |= {outs[0]: rows - inner, outs[1]: inner}
    net = Detector(len(names), widths).eval()
    _restore(net, w, pictures)
    return net, names


@torch.no_grad()
def _restore(net, w, pictures):
    def hook(bn, bias):
        def fit(_, __, y):
            var, mean = torch.var_mean(y, (0, 2, 3), unbiased=False)
            bn.running_mean.copy_(mean)
            bn.running_var.copy_(var)
            bn.weight.copy_(torch.sqrt(var + bn.eps))
            bn.bias.copy_(bias + mean)
        return fit

    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, ConvUnit):
            module.conv.weight.copy_(w[name + ".weight"])
            hooks.append(module.conv.register_forward_hook(hook(module.bn, w[name + ".bias"])))
        elif isinstance(module, nn.Conv2d) and name + ".weight" in w:
            module.weight.copy_(w[name + ".weight"])
            module.bias.copy_(w[name + ".bias"])
    net(pictures)
    for h in hooks:
        h.remove()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="\n".join(__doc__.splitlines()[1:]),
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="model.pt or last.pt of a run")
    p.add_argument("out", help="file to write")
    p.add_argument("--keep", help="class names to export, with commas; default: all")
    p.add_argument("--conf", type=float, default=0.25, help="default score threshold (0.25)")
    p.add_argument("--size", type=int, default=416, help="default input size (416)")
    p.add_argument("--float", action="store_true", help="store weights as fp32 instead of fp16")
    p.add_argument("--check", action="store_true", help="compare the file with PyTorch at four input sizes")
    p.add_argument("--description", default="Slipway detector")
    a = p.parse_args()
    net, names = load_weights(a.model)
    number = {n: c for c, n in names.items()}
    keep = None
    if a.keep:
        missing = [k for k in a.keep.split(",") if k not in number]
        if missing:
            raise UserError(f"{a.model} has no class '{missing[0]}'")
        keep = [number[k] for k in a.keep.split(",")]
    export(net, names, a.out, (a.size, a.size), keep, a.conf, not a.float, description=a.description)
    for h, w, box, score in check(net, a.out) if a.check else []:
        print(f"{h}x{w}: boxes differ by at most {box:.4f} pixels, scores by {score:.6f}")
    return 0


if __name__ == "__main__":
    run(main)

"""The network: an anchor-free detector with three output levels (strides 8, 16, 32).

Every convolution is conv + batch norm + SiLU.  A stage splits its channels in two, runs residual pairs of 3x3 on
one part and concatenates every intermediate; a small feature pyramid mixes the three levels both ways; each level
has one head for the four box sides (16 bins a side) and one for the class scores.

Widths are named groups of channels (`widths`), all multiples of 16, so that a pruned network is just another table.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from console import UserError

BINS = 16
STRIDES = (8, 16, 32)
STAGES = {"s2": 1, "s3": 2, "s4": 2, "s5": 1, "t4": 1, "t3": 1, "p4": 1, "p5": 1}
FIXED = ""  # name of a group that is never pruned: pictures, bins, class scores


class ConvUnit(nn.Module):
    """conv + batch norm + SiLU; `fuse` folds the norm into the convolution."""

    def __init__(self, ci, co, k=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(ci, co, k, stride, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(co, eps=1e-3, momentum=0.03)

    def forward(self, x):
        x = self.conv(x)
        return F.silu(x if self.bn is None else self.bn(x), inplace=True)

    def folded(self):
        """(weight, bias) of the one convolution that equals conv + norm at inference."""
        if self.bn is None:
            return self.conv.weight.detach(), self.conv.bias.detach()
        gain = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        return ((self.conv.weight * gain[:, None, None, None]).detach(),
                (self.bn.bias - self.bn.running_mean * gain).detach())

    @torch.no_grad()
    def fuse(self):
        if self.bn is None:
            return
        w, b = self.folded()
        old = self.conv
        self.conv = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
        self.conv.to(w.device)
        self.conv.weight.copy_(w)
        self.conv.bias.copy_(b)
        self.bn = None


class Residual(nn.Module):
    def __init__(self, width, mid, add):
        super().__init__()
        self.a, self.b, self.add = ConvUnit(width, mid, 3), ConvUnit(mid, width, 3), add

    def forward(self, x):
        y = self.b(self.a(x))
        return x + y if self.add else y


class SplitStage(nn.Module):
    def __init__(self, ci, co, keep, inner, mids, add):
        super().__init__()
        self.sizes = [keep, inner]
        self.inp = ConvUnit(ci, keep + inner)
        self.blocks = nn.ModuleList(Residual(inner, m, add) for m in mids)
        self.out = ConvUnit(keep + inner * (1 + len(mids)), co)

    def forward(self, x):
        keep, inner = self.inp(x).split(self.sizes, 1)
        parts = [keep, inner]
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.out(torch.cat(parts, 1))


class PoolPyramid(nn.Module):
    """Three chained 5x5 max pools: a wide receptive field for the coarsest level."""

    def __init__(self, ci, mid, co):
        super().__init__()
        self.a, self.b = ConvUnit(ci, mid), ConvUnit(4 * mid, co)

    def forward(self, x):
        parts = [self.a(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.b(torch.cat(parts, 1))


def up(x):
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def plain_widths(width=1.0):
    """The table of an unpruned network; width 1.0 is the nano size (2.9 M parameters)."""
    def multiple(v):
        return max(16, int(math.ceil(v / 16 - 1e-6)) * 16)
    c = [multiple(v * width) for v in (16, 32, 64, 128, 256)]
    out = {"stem": c[0], "d2": c[1], "d3": c[2], "d4": c[3], "d5": c[4], "spp.mid": multiple(c[4] / 2), "spp": c[4],
           "u4": c[2], "u5": c[3]}
    stage = {"s2": c[1], "s3": c[2], "s4": c[3], "s5": c[4], "t4": c[3], "t3": c[2], "p4": c[3], "p5": c[4]}
    for name, co in stage.items():
        half = multiple(co / 2)
        out |= {name: co, name + ".keep": half, name + ".inner": half}
        out |= {f"{name}.{i}": half for i in range(STAGES[name])}
    for level in range(3):
        for j in range(2):
            out[f"box{level}.{j}"] = max(64, c[2])
            out[f"cls{level}.{j}"] = 48 if width <= 1 else c[2]
    return out


class Detector(nn.Module):
    def __init__(self, classes, widths=None):
        super().__init__()
        w = self.widths = dict(widths or plain_widths())
        self.classes = classes
        self.stem = ConvUnit(3, w["stem"], 3, 2)
        prev = "stem"
        for i in "2345":
            setattr(self, "d" + i, ConvUnit(w[prev], w["d" + i], 3, 2))
            setattr(self, "s" + i, self._stage("s" + i, w["d" + i], True))
            prev = "s" + i
        self.spp = PoolPyramid(w["s5"], w["spp.mid"], w["spp"])
        self.t4 = self._stage("t4", w["spp"] + w["s4"], False)
        self.t3 = self._stage("t3", w["t4"] + w["s3"], False)
        self.u4 = ConvUnit(w["t3"], w["u4"], 3, 2)
        self.p4 = self._stage("p4", w["u4"] + w["t4"], False)
        self.u5 = ConvUnit(w["p4"], w["u5"], 3, 2)
        self.p5 = self._stage("p5", w["u5"] + w["spp"], False)
        self.box, self.cls = nn.ModuleList(), nn.ModuleList()
        for i, src in enumerate(("t3", "p4", "p5")):
            for kind, outs, heads in (("box", 4 * BINS, self.box), ("cls", classes, self.cls)):
                a, b = w[f"{kind}{i}.0"], w[f"{kind}{i}.1"]
                heads.append(nn.Sequential(ConvUnit(w[src], a, 3), ConvUnit(a, b, 3), nn.Conv2d(b, outs, 1)))
        self._initialise()

    def _stage(self, name, ci, add):
        w = self.widths
        mids = [w[f"{name}.{i}"] for i in range(STAGES[name])]
        return SplitStage(ci, w[name], w[name + ".keep"], w[name + ".inner"], mids, add)

    def _initialise(self):
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        for box, cls in zip(self.box, self.cls):
            nn.init.normal_(box[-1].weight, 0, 0.01)
            nn.init.constant_(box[-1].bias, 1.0)
            nn.init.normal_(cls[-1].weight, 0, 0.01)
            nn.init.constant_(cls[-1].bias, -4.6)  # sigmoid 0.01: almost every cell is background at the start

    def maps(self, x):
        """Per level one map of 4 * BINS box logits and one of class logits."""
        c3 = self.s3(self.d3(self.s2(self.d2(self.stem(x)))))
        c4 = self.s4(self.d4(c3))
        c5 = self.spp(self.s5(self.d5(c4)))
        t4 = self.t4(torch.cat([up(c5), c4], 1))
        p3 = self.t3(torch.cat([up(t4), c3], 1))
        p4 = self.p4(torch.cat([self.u4(p3), t4], 1))
        p5 = self.p5(torch.cat([self.u5(p4), c5], 1))
        levels = (p3, p4, p5)
        return [b(f) for f, b in zip(levels, self.box)], [c(f) for f, c in zip(levels, self.cls)]

    def forward(self, x):
        """(B, cells, 4 * BINS + classes) raw logits."""
        boxes, scores = self.maps(x)
        return torch.cat([torch.cat([b, s], 1).flatten(2) for b, s in zip(boxes, scores)], 2).transpose(1, 2)

    def wiring(self):
        """(module path, input groups, output groups) of every convolution: what pruning has to keep consistent."""
        rows = [("stem", [FIXED], ["stem"])]
        prev = "stem"
        for i in "2345":
            rows += [("d" + i, [prev], ["d" + i])] + self._stage_wiring("s" + i, ["d" + i])
            prev = "s" + i
        rows += [("spp.a", ["s5"], ["spp.mid"]), ("spp.b", ["spp.mid"] * 4, ["spp"])]
        rows += self._stage_wiring("t4", ["spp", "s4"]) + self._stage_wiring("t3", ["t4", "s3"])
        rows += [("u4", ["t3"], ["u4"])] + self._stage_wiring("p4", ["u4", "t4"])
        rows += [("u5", ["p4"], ["u5"])] + self._stage_wiring("p5", ["u5", "spp"])
        for i, src in enumerate(("t3", "p4", "p5")):
            for kind in ("box", "cls"):
                rows += [(f"{kind}.{i}.0", [src], [f"{kind}{i}.0"]),
                         (f"{kind}.{i}.1", [f"{kind}{i}.0"], [f"{kind}{i}.1"]),
                         (f"{kind}.{i}.2", [f"{kind}{i}.1"], [FIXED])]
        return rows

    @staticmethod
    def _stage_wiring(name, ins):
        keep, inner = name + ".keep", name + ".inner"
        rows = [(name + ".inp", ins, [keep, inner])]
        for i in range(STAGES[name]):
            mid = f"{name}.{i}"
            rows += [(f"{name}.blocks.{i}.a", [inner], [mid]), (f"{name}.blocks.{i}.b", [mid], [inner])]
        return rows + [(name + ".out", [keep] + [inner] * (1 + STAGES[name]), [name])]

    def fuse(self):
        for m in self.modules():
            if isinstance(m, ConvUnit):
                m.fuse()
        return self

    def keep_classes(self, ids):
        """Drop every class channel but `ids` (auxiliary classes help training, not the user)."""
        for head in self.cls:
            old = head[-1]
            new = nn.Conv2d(old.in_channels, len(ids), 1).to(old.weight.device)
            with torch.no_grad():
                new.weight.copy_(old.weight[ids])
                new.bias.copy_(old.bias[ids])
            head[-1] = new
        self.classes = len(ids)
        return self


def arithmetic(widths, classes, size=(416, 416)):
    """Multiply-adds of all convolutions for one picture of size (height, width)."""
    net = Detector(classes, widths)
    total = 0

    def count(module, _, out):
        nonlocal total
        total += module.weight.numel() * out.shape[2] * out.shape[3]

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, *size))
    for h in hooks:
        h.remove()
    return total


def save_weights(path, net, names):
    """A small file: fp16 weights, the width table and the class names."""
    state = {k: v.half() if v.dtype == torch.float32 else v for k, v in net.state_dict().items()}
    torch.save(dict(kind="slipway-detector", state=state, widths=net.widths, names=dict(names)), path)


def read_checkpoint(path):
    """The dictionary of a model.pt or last.pt, checked to be one."""
    try:
        f = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception:
        raise UserError(f"{path} is not a checkpoint of this trainer") from None
    if not isinstance(f, dict) or f.get("kind") != "slipway-detector":
        raise UserError(f"{path} is not a checkpoint of this trainer")
    return f


def load_weights(path):
    """-> (Detector, names) from a file of save_weights or the `last.pt` of a run (its averaged weights)."""
    f = read_checkpoint(path)
    net = Detector(len(f["names"]), f["widths"])
    try:
        net.load_state_dict({k: v.float() if v.dtype == torch.float16 else v for k, v in f["state"].items()})
    except RuntimeError:
        raise UserError(f"{path} holds a network trained with --qat; start from its floating-point parent") from None
    return net.eval(), f["names"]

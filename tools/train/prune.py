"""Remove whole groups of channels, 16 at a time, so that what remains is a smaller network of the same kind.

A channel matters as much as its norm's gain times the weights that read it.  Again and again the 16 least important
channels of the group that costs least importance per saved multiply-add go, until the wanted share is gone.
"""
import torch

from model import FIXED, Detector

BLOCK = 16


def _offsets(groups, sizes):
    """Where each group starts in a concatenation, and its total length."""
    at, start = [], 0
    for g in groups:
        at.append(start)
        start += sizes[g]
    return at, start


@torch.no_grad()
def importance(net):
    """{group: importance per channel}, summed over everything that writes or reads the group."""
    modules = dict(net.named_modules())
    gain = {g: torch.zeros(w) for g, w in net.widths.items()}
    read = {g: torch.zeros(w) for g, w in net.widths.items()}
    for name, ins, outs in net.wiring():
        unit = modules[name]
        weight = getattr(unit, "conv", unit).weight.float().cpu()
        if ins != [FIXED]:
            columns = weight.pow(2).sum((0, 2, 3))
            for g, at in zip(ins, _offsets(ins, net.widths)[0]):
                read[g] += columns[at:at + net.widths[g]]
        if outs != [FIXED]:
            rows = unit.bn.weight.abs().cpu()
            for g, at in zip(outs, _offsets(outs, net.widths)[0]):
                gain[g] += rows[at:at + net.widths[g]]
    return {g: gain[g] * read[g].sqrt() for g in gain}


def _pixels(net, size):
    """{module path: (kernel area, output pixels)} for a square input."""
    found = {}
    modules = dict(net.named_modules())
    hooks = []
    for name, _, _ in net.wiring():
        conv = getattr(modules[name], "conv", modules[name])
        area = conv.kernel_size[0] ** 2
        hooks.append(conv.register_forward_hook(
            lambda _, __, y, n=name, k=area: found.update({n: (k, y.shape[2] * y.shape[3])})))
    with torch.no_grad():
        net(torch.zeros(1, 3, size, size, device=next(net.parameters()).device))
    for h in hooks:
        h.remove()
    return found


def _cost(wiring, pixels, widths, classes):
    """Multiply-adds with these widths."""
    def count(groups, fixed):
        return sum(widths.get(g, fixed) for g in groups)
    return sum(pixels[n][0] * pixels[n][1] * count(ins, 3) * count(outs, 64 if n.startswith("box") else classes)
               for n, ins, outs in wiring)


def choose(net, ratio, size):
    """Which channels stay: {group: sorted indices}, with at least `ratio` of the multiply-adds gone."""
    wiring, pixels, weight = net.wiring(), _pixels(net, size), importance(net)
    order = {g: v.argsort() for g, v in weight.items()}  # least important first
    value = {g: v[order[g]] / v.sum() for g, v in weight.items()}
    widths, gone = dict(net.widths), {g: 0 for g in net.widths}
    full = now = _cost(wiring, pixels, widths, net.classes)
    while now > full * (1 - ratio):
        best = None
        for g in widths:
            if widths[g] <= BLOCK:
                continue
            less = _cost(wiring, pixels, widths | {g: widths[g] - BLOCK}, net.classes)
            loss = float(value[g][gone[g]:gone[g] + BLOCK].sum()) / (now - less)
            if best is None or loss < best[0]:
                best = (loss, g, less)
        if best is None:
            break  # every group is down to one block
        _, g, now = best
        widths[g] -= BLOCK
        gone[g] += BLOCK
    return {g: order[g][gone[g]:].sort().values for g in widths}


@torch.no_grad()
def shrink(net, stay):
    """A new Detector that holds only the channels `stay`."""
    small = Detector(net.classes, {g: len(i) for g, i in stay.items()})
    old, new = dict(net.named_modules()), dict(small.named_modules())

    def index(groups, total):
        if groups == [FIXED]:
            return torch.arange(total)
        return torch.cat([stay[g] + at for g, at in zip(groups, _offsets(groups, net.widths)[0])])

    for name, ins, outs in net.wiring():
        a, b = old[name], new[name]
        ca, cb = getattr(a, "conv", a), getattr(b, "conv", b)
        rows, columns = index(outs, ca.out_channels), index(ins, ca.in_channels)
        cb.weight.copy_(ca.weight.cpu()[rows][:, columns])
        if ca.bias is not None:
            cb.bias.copy_(ca.bias.cpu()[rows])
        if ca is not a:
            for key, value in b.bn.state_dict().items():
                value.copy_(a.bn.state_dict()[key].cpu()[rows] if value.ndim else a.bn.state_dict()[key].cpu())
    return small


def prune(net, ratio, size=416):
    """A copy of `net` with at least `ratio` of its arithmetic removed; it has to be trained again afterwards."""
    device = next(net.parameters()).device
    return shrink(net.eval(), choose(net, ratio, size)).to(device)

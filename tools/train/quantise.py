"""Quantisation-aware training: 8-bit weights (one scale a channel) and 8-bit activations (one scale a tensor).

Rounding happens in the forward pass only; gradients pass straight through.  The last 1x1 convolutions of the heads,
the bin decoding and the scores stay in floating point.
"""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

from model import ConvUnit


class QuantUnit(nn.Module):
    """A ConvUnit with its norm folded, whose input and weights are rounded as an integer engine will round them."""

    def __init__(self, unit):
        super().__init__()
        unit.fuse()
        self.conv = unit.conv
        device = self.conv.weight.device
        self.register_buffer("scale", torch.ones(1, device=device))
        self.register_buffer("zero", torch.zeros(1, dtype=torch.int32, device=device))

    def weight_scale(self):
        """The largest magnitude of each output channel becomes 127."""
        return self.conv.weight.detach().abs().amax((1, 2, 3)).clamp(min=1e-8) / 127

    def settle(self, low, high):
        """Fix scale and zero point; 0.0 stays exact because borders are padded with it."""
        low, high = min(low, 0.0), max(high, 1e-3)
        self.scale.fill_((high - low) / 255)
        self.zero.fill_(round(-low / (high - low) * 255))

    def forward(self, x):
        x = torch.fake_quantize_per_tensor_affine(x.float(), self.scale, self.zero, 0, 255)
        scale = self.weight_scale()
        zero = torch.zeros(len(scale), dtype=torch.int32, device=scale.device)
        w = torch.fake_quantize_per_channel_affine(self.conv.weight, scale, zero, 0, -127, 127)
        return F.silu(F.conv2d(x, w, self.conv.bias, self.conv.stride, self.conv.padding), inplace=True)


def _replace(module):
    for name, child in module.named_children():
        if isinstance(child, ConvUnit):
            setattr(module, name, QuantUnit(child))
        else:
            _replace(child)


@torch.no_grad()
def prepare(net, batches):
    """A copy of `net` ready for this training, its ranges the mean extremes over `batches` of pictures."""
    net = copy.deepcopy(net).eval()
    units = {n: m for n, m in net.named_modules() if isinstance(m, ConvUnit)}
    seen = {n: [] for n in units}
    hooks = [m.register_forward_pre_hook(lambda _, a, n=n: seen[n].append((a[0].min().item(), a[0].max().item())))
             for n, m in units.items()]
    for batch in batches:
        net(batch)
    for h in hooks:
        h.remove()
    _replace(net)
    for n, m in net.named_modules():
        if isinstance(m, QuantUnit):
            m.settle(*(sum(v) / len(v) for v in zip(*seen[n])))
    return net

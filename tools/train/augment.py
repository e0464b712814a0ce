"""Augmentation of a whole batch on the device: mosaic, scale, flip, windows, sharpness, colour, erasing, mixup.

Every picture of the batch is a canvas of four quadrants around a random centre (mosaic) or one quadrant that
fills it.  Each quadrant shows one window of one picture, moved, scaled and mirrored; one grid_sample does it all.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from data import PAD


@dataclass(frozen=True)
class Policy:
    """How strongly to augment; probabilities are per picture unless said otherwise."""
    mosaic: float = 0.85
    scale: tuple = (0.5, 1.6)   # of the size that fits the canvas
    aspect: float = 0.12
    background: float = 0.1     # a quadrant shows a window free of the wanted classes
    sharpen: float = 0.5
    colour: float = 1.0
    erase: float = 0.2
    mixup: float = 0.1

    def calm(self):
        """The end of training: single pictures at nearly natural scale, so that the averaged weights settle."""
        return Policy(0.0, (0.75, 1.3), self.aspect, self.background, self.sharpen, 0.7 * self.colour, 0.0, 0.0)


PLAIN = Policy(0.0, (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass
class Layout:
    """Where each of the four quadrants (B, 4) of each canvas shows what; windows and places are x0 y0 x1 y1."""
    index: torch.Tensor
    centre: torch.Tensor    # B, 2
    quadrant: torch.Tensor  # B, 4, 4
    window: torch.Tensor    # B, 4, 4 in stored pixels
    gain: torch.Tensor      # B, 4, 2 canvas pixels per stored pixel
    origin: torch.Tensor    # B, 4, 2 where the window's corner lies on the canvas
    flip: torch.Tensor      # B, 4


def _chance(p, shape, device):
    return torch.rand(shape, device=device) < p


def layout(data, batch, size, policy):
    H, W = size
    dev = data.device
    index = torch.randint(0, data.n, (batch, 4), device=dev)
    extent = torch.tensor([W, H], dtype=torch.float32, device=dev)
    mosaic = _chance(policy.mosaic, (batch, 1), dev)
    centre = torch.where(mosaic, (0.2 + 0.6 * torch.rand(batch, 2, device=dev)) * extent, extent)
    zero, end = torch.zeros_like(centre), extent.expand_as(centre)
    cx, cy = centre[:, :1], centre[:, 1:]
    quadrant = torch.stack([torch.cat([zero, centre], 1), torch.cat([cx, zero[:, 1:], end[:, :1], cy], 1),
                            torch.cat([zero[:, :1], cy, cx, end[:, 1:]], 1), torch.cat([centre, end], 1)], 1)
    # window 0 is the whole picture, 1.. are the free ones
    free = data.windows[index]
    take = (_chance(policy.background, (batch, 4), dev) & (free > 0)).float()
    pick = (take * (1 + (torch.rand(batch, 4, device=dev) * free).floor().minimum((free - 1).clamp(min=0)))).long()
    window = data.window[index, pick]
    extents = window[..., 2:] - window[..., :2]
    fit = (extent / extents).amin(-1, keepdim=True)
    low, high = policy.scale
    zoom = torch.exp(math.log(low) + torch.rand(batch, 4, 1, device=dev) * math.log(high / low))
    stretch = torch.exp((torch.rand(batch, 4, 2, device=dev) - 0.5) * 2 * policy.aspect)
    gain = fit * zoom * stretch
    room = (quadrant[..., 2:] - quadrant[..., :2]) - extents * gain
    origin = quadrant[..., :2] + torch.rand(batch, 4, 2, device=dev) * room
    return Layout(index, centre, quadrant, window, gain, origin, _chance(0.5, (batch, 4), dev))


def sample(data, lay, size):
    """Pixels (B, 3, H, W) in 0..1 and the mask (B, H, W) of pixels that show a picture."""
    H, W = size
    dev, S, B = data.device, data.side, lay.index.shape[0]
    tile = data.gather(lay.index).view(B, 2, 2, 3, S, S).permute(0, 3, 1, 4, 2, 5).reshape(B, 3, 2 * S, 2 * S)
    px, py = torch.arange(W, device=dev) + 0.5, torch.arange(H, device=dev) + 0.5
    right, below = px[None] >= lay.centre[:, :1], py[None] >= lay.centre[:, 1:]

    def spread(v):
        """(B, 4) per quadrant -> (B, H, W) per pixel."""
        v = v.float().view(B, 2, 2)
        row = torch.where(right[:, None, :], v[:, :, 1:2], v[:, :, 0:1])
        return torch.where(below[:, :, None], row[:, 1][:, None], row[:, 0][:, None])

    x0, y0, x1, y1 = (spread(lay.window[..., k]) for k in range(4))
    u = (px.view(1, 1, W) - spread(lay.origin[..., 0])) / spread(lay.gain[..., 0])
    v = (py.view(1, H, 1) - spread(lay.origin[..., 1])) / spread(lay.gain[..., 1])
    shown = (u >= 0) & (u < x1 - x0) & (v >= 0) & (v < y1 - y0)
    u = torch.where(spread(lay.flip) > 0.5, x1 - u, x0 + u)
    u = torch.minimum(torch.maximum(u, x0 + 0.5), x1 - 0.5)
    v = torch.minimum(torch.maximum(v + y0, y0 + 0.5), y1 - 0.5)
    u = (u + right[:, None, :] * float(S)) / S - 1
    v = (v + below[:, :, None] * float(S)) / S - 1
    image = F.grid_sample(tile.float(), torch.stack([u, v], -1), mode="bilinear", align_corners=False)
    return image / 255.0, shown


def place_boxes(data, lay):
    """Boxes on the canvas (B, 4 * M, 4), their classes and which of them are visible enough to be learnt."""
    w = lay.window[:, :, None]
    b = data.box[lay.index]
    full = (b[..., 2:] - b[..., :2]).prod(-1)
    flip = lay.flip[..., None]
    x0 = torch.where(flip, w[..., 2] - b[..., 2], b[..., 0] - w[..., 0])
    x1 = torch.where(flip, w[..., 2] - b[..., 0], b[..., 2] - w[..., 0])
    gain, origin = lay.gain[:, :, None], lay.origin[:, :, None]
    low = torch.stack([x0, b[..., 1] - w[..., 1]], -1) * gain + origin
    high = torch.stack([x1, b[..., 3] - w[..., 1]], -1) * gain + origin
    placed = (w[..., 2:] - w[..., :2]) * gain + origin
    bound0 = torch.maximum(lay.quadrant[:, :, None, :2], origin)
    bound1 = torch.maximum(torch.minimum(lay.quadrant[:, :, None, 2:], placed), bound0)
    low = torch.minimum(torch.maximum(low, bound0), bound1)
    high = torch.minimum(torch.maximum(high, bound0), bound1)
    seen = high - low
    visible = seen.prod(-1) > 0.15 * full * gain.prod(-1)
    ok = data.present[lay.index] & (seen > 2.5).all(-1) & visible
    return torch.cat([low, high], -1).flatten(1, 2), data.cls[lay.index].flatten(1), ok.flatten(1)


def sharpen(image, p):
    """Blur or sharpen: pictures reach the network through many resamplers."""
    B, dev = image.shape[0], image.device
    k = torch.tensor([1.0, 2.0, 1.0], device=dev)
    k = (k[:, None] * k[None] / 16).expand(3, 1, 3, 3)
    soft = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), k, groups=3)
    amount = torch.where(_chance(p, (B,), dev), torch.rand(B, device=dev) * 2.4 - 0.8, torch.zeros(B, device=dev))
    return image + amount.view(B, 1, 1, 1) * (image - soft)


# luminance and the two colour axes of NTSC: turning the axes changes hue, scaling them saturation
_TO_YIQ = torch.tensor([[.299, .587, .114], [.596, -.274, -.322], [.211, -.523, .312]])
_FROM_YIQ = torch.linalg.inv(_TO_YIQ)


def colour(image, strength):
    """Hue, saturation, value and gamma; three in a hundred pictures turn grey."""
    B, dev = image.shape[0], image.device
    def jitter(width):
        return (torch.rand(B, device=dev) - 0.5) * width * strength
    turn, value, gamma = jitter(0.2), 1 + jitter(0.8), torch.exp(jitter(0.5))
    saturation = torch.where(_chance(0.03, (B,), dev), torch.zeros(B, device=dev), 1 + jitter(1.2))
    rot = torch.zeros(B, 3, 3, device=dev)
    rot[:, 0, 0] = 1
    rot[:, 1, 1] = rot[:, 2, 2] = turn.cos() * saturation
    rot[:, 2, 1] = turn.sin() * saturation
    rot[:, 1, 2] = -rot[:, 2, 1]
    matrix = _FROM_YIQ.to(dev) @ rot @ _TO_YIQ.to(dev) * value[:, None, None]
    image = torch.einsum("bij,bjhw->bihw", matrix, image)
    return image.clamp(1e-4, 1).pow(gamma.view(B, 1, 1, 1))


def erase(image, boxes, ok, p):
    """Cover a rectangle with one colour; boxes hidden by more than three quarters are no longer learnt."""
    B, _, H, W = image.shape
    dev = image.device
    do = _chance(p, (B, 1), dev)
    extent = torch.tensor([W, H], dtype=torch.float32, device=dev)
    part = (0.1 + 0.25 * torch.rand(B, 2, device=dev)) * extent
    low = torch.rand(B, 2, device=dev) * (extent - part)
    high = low + part
    px, py = torch.arange(W, device=dev) + 0.5, torch.arange(H, device=dev) + 0.5
    across = (px >= low[:, :1]) & (px < high[:, :1])
    down = (py >= low[:, 1:]) & (py < high[:, 1:])
    mask = across[:, None, :] & down[:, :, None] & do[:, :, None]
    image = torch.where(mask[:, None], torch.rand(B, 3, 1, 1, device=dev), image)
    common = (torch.minimum(boxes[..., 2:], high[:, None]) - torch.maximum(boxes[..., :2], low[:, None])).clamp(min=0)
    hidden = common.prod(-1) / (boxes[..., 2:] - boxes[..., :2]).prod(-1).clamp(min=1e-3)
    return image, ok & ~((hidden > 0.75) & do)


def mixup(image, boxes, classes, ok, p):
    """Blend with the next picture of the batch and learn the boxes of both."""
    B, dev = image.shape[0], image.device
    do = _chance(p, (B,), dev)
    share = torch.where(do, 0.5 + 0.25 * torch.rand(B, device=dev), torch.ones(B, device=dev)).view(B, 1, 1, 1)
    image = share * image + (1 - share) * image.roll(1, 0)
    return (image, torch.cat([boxes, boxes.roll(1, 0)], 1), torch.cat([classes, classes.roll(1, 0)], 1),
            torch.cat([ok, ok.roll(1, 0) & do[:, None]], 1))


def limit(boxes, classes, ok, most, first):
    """Keep `most` boxes a picture, those of the class ids `first` before others, at random among equals."""
    key = ok.float() * (1 + torch.rand(ok.shape, device=ok.device))
    if first is not None:
        key = key + ok.float() * torch.isin(classes, first) * 2
    if key.shape[1] < most:
        grow = most - key.shape[1]
        key, boxes, classes = F.pad(key, (0, grow)), F.pad(boxes, (0, 0, 0, grow)), F.pad(classes, (0, grow))
    key, i = key.topk(most, 1)
    return boxes.gather(1, i[..., None].expand(-1, -1, 4)), classes.gather(1, i), key > 0


@torch.no_grad()
def make_batch(data, batch, size, policy, most=64, first=None):
    """One augmented batch: pictures (B, 3, H, W) in 0..1, boxes (B, most, 4), classes, present."""
    lay = layout(data, batch, size, policy)
    image, shown = sample(data, lay, size)
    if policy.sharpen > 0:
        image = sharpen(image, policy.sharpen)
    if policy.colour > 0:
        image = colour(image, policy.colour)
    image = torch.where(shown[:, None], image, torch.full((), PAD / 255.0, device=image.device))
    boxes, classes, ok = place_boxes(data, lay)
    if policy.erase > 0:
        image, ok = erase(image, boxes, ok, policy.erase)
    if policy.mixup > 0:
        image, boxes, classes, ok = mixup(image, boxes, classes, ok, policy.mixup)
    return image.clamp(0, 1), *limit(boxes, classes, ok, most, first)

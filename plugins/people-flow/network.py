"""The detector that ``make_model.py`` trains: a small convolutional network with two grids.

Each cell of a grid (8 and 16 px) says how sure it is that it is near the middle of a person, and
how far from it the four sides of that person's box are: FCOS (Tian et al., ICCV 2019), the score
learnt as the overlap that the box will have (VarifocalNet, Zhang et al., CVPR 2021).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from rooms import SIZE
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16)
REACH = ((0.0, 64.0), (48.0, 1e9))
"""A person's longer side in px, for which a grid is taught."""
RADIUS = 1.5
"""Cells so near to the middle of a box, in cells, are taught to see it."""
NOTHING, UNSURE = -1, -2


def cells() -> NDArray[np.float32]:
    """Return the middle and the size of each cell, px: float32 [1200, 3]."""
    rows = []
    for stride in STRIDES:
        y, x = np.mgrid[0 : SIZE[1] // stride, 0 : SIZE[0] // stride]
        middle = [(x + 0.5) * stride, (y + 0.5) * stride, np.full(x.shape, stride)]
        rows.append(np.stack(middle, axis=-1).reshape(-1, 3))
    return np.concatenate(rows).astype(np.float32)


def _step(taken: int, given: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(taken, given, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(given),
        nn.ReLU(inplace=True),
    )


class Network(nn.Module):
    """Pictures [B, 3, 192, 320], RGB 0 to 1, to boxes and scores [B, 5, 1200].

    Of a box its middle, width and height, px; the score is 0 to 1: YOLOv8's output with one class.
    """

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(
            _step(3, 16, 2), _step(16, 24, 2), _step(24, 32), _step(32, 40, 2), _step(40, 40)
        )
        self.middle = nn.Sequential(_step(40, 64, 2), _step(64, 64))
        self.late = nn.Sequential(_step(64, 80, 2), _step(80, 80), _step(80, 64, kernel=1))
        self.join_coarse = _step(128, 56)
        self.narrow = _step(56, 40, kernel=1)
        self.join_fine = nn.Sequential(_step(80, 40), _step(40, 40))
        self.fine = nn.Conv2d(40, 5, 1)
        self.coarse = nn.Conv2d(56, 5, 1)
        self.register_buffer("cells", torch.from_numpy(cells()))
        for head in (self.fine, self.coarse):
            nn.init.constant_(head.bias, 0.5)
            nn.init.constant_(head.bias[4:], -4.6)  # at first hardly anything is a person

    def raw(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return corners [B, 1200, 4], px, and what becomes the scores [B, 1200]."""
        early = self.early(pictures)
        middle = self.middle(early)
        late = functional.interpolate(self.late(middle), scale_factor=2.0, mode="nearest")
        coarse = self.join_coarse(torch.cat([middle, late], 1))
        wide = functional.interpolate(self.narrow(coarse), scale_factor=2.0, mode="nearest")
        fine = self.join_fine(torch.cat([early, wide], 1))
        told = torch.cat([self.fine(fine).flatten(2), self.coarse(coarse).flatten(2)], 2)
        told = told.transpose(1, 2)
        sides = functional.softplus(told[..., :4]) * self.cells[:, 2:]
        corners = torch.cat(
            [self.cells[:, :2] - sides[..., :2], self.cells[:, :2] + sides[..., 2:]], 2
        )
        return corners, told[..., 4]

    def forward(self, pictures: Tensor) -> Tensor:
        """Return what the exported model gives."""
        corners, sure = self.raw(pictures)
        low, high = corners[..., :2], corners[..., 2:]
        rows = torch.cat([(low + high) / 2, high - low, sure.sigmoid().unsqueeze(2)], 2)
        return rows.transpose(1, 2)


def taught(
    boxes: NDArray[np.float32], unsure: NDArray[np.float32], grid: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return which box each cell is to see, or `NOTHING`, or `UNSURE`: int64 [1200]."""
    answer = np.full(len(grid), NOTHING, np.int64)
    for left, top, right, bottom in unsure:
        x, y = grid[:, 0], grid[:, 1]
        answer[(x > left) & (x < right) & (y > top) & (y < bottom)] = UNSURE
    order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    for i in order:  # the smaller ones last: they have fewer cells
        left, top, right, bottom = boxes[i]
        longer = max(right - left, bottom - top)
        away = np.abs(grid[:, :2] - ((left + right) / 2, (top + bottom) / 2)).max(axis=1)
        for stride, (least, most) in zip(STRIDES, REACH, strict=True):
            if least <= longer < most:
                answer[(grid[:, 2] == stride) & (away < RADIUS * stride)] = i
    return answer


def loss(network: Network, pictures: Tensor, wanted: Tensor, corners: Tensor) -> Tensor:
    """Return how wrong the network is.

    Args:
        network: It.
        pictures: [B, 3, 192, 320].
        wanted: int64 [B, 1200], from `taught`.
        corners: [B, 1200, 4], the box that each cell is to see, where it is to see one.
    """
    given, sure = network.raw(pictures)
    person = wanted >= 0
    overlap = _giou(given[person], corners[person])
    quality = torch.zeros_like(sure)
    quality[person] = overlap[1].detach().clamp(0.05, 1)
    wrong = functional.binary_cross_entropy_with_logits(sure, quality, reduction="none")
    focus = torch.where(person, 1.0, 0.75 * sure.sigmoid().detach().pow(2))
    count = person.sum().clamp(min=1)
    scores = (wrong * focus * (wanted != UNSURE)).sum() / count
    return scores + 1.5 * (1 - overlap[0]).sum() / count


def _giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return generalised and plain overlap (Rezatofighi et al., CVPR 2019)."""
    inner = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    outer = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    both = inner.clamp(min=0).prod(1)
    either = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - both
    around = outer.prod(1)
    iou = both / either.clamp(min=1e-6)
    return iou - (around - either) / around.clamp(min=1e-6), iou

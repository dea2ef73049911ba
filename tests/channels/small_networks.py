"""Small networks whose every wiring is understood: the stem, a body under test, the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(source: int, width: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(source, width, 3, padding=1, groups=groups), nn.BatchNorm2d(width))


class Net(nn.Module):
    """A stem of 12 channels, a body under test, a head of 2 classes."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.stem, self.head = conv(1, 12), nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(functional.relu(self.stem(x))))

    def body(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Residual(Net):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.act = conv(12, 8), conv(8, 12), nn.ReLU(inplace=True)

    def body(self, x: Tensor) -> Tensor:
        y = self.two(self.act(self.one(x)))
        y += x
        return self.act(y)


class Concatenation(Net):
    def __init__(self) -> None:
        super().__init__(26)
        self.one, self.two = conv(12, 6), conv(6, 8)

    def body(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return torch.cat((self.two(y), x, y), dim=1)


class Chunks(Net):
    def __init__(self) -> None:
        super().__init__(18)
        self.one = conv(12, 18)

    def body(self, x: Tensor) -> Tensor:
        a, b = self.stem[0](x[:, :1] * 0).chunk(2, 1)  # the slice is not understood, the stem's output is
        first, second, third = self.one(x).chunk(3, dim=1)
        return torch.cat((first * second.sigmoid(), third, a + b), 1)


class SqueezeExcite(Net):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 5, 1), nn.ReLU(), nn.Conv2d(5, 12, 1), nn.Sigmoid()
        )
        self.scale = nn.Parameter(torch.rand(1, 12, 1, 1) + 0.5)

    def body(self, x: Tensor) -> Tensor:
        return x * self.gate(x) * self.scale


class PRelus(Net):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.many, self.next = nn.PReLU(), nn.PReLU(12), conv(12, 12)

    def body(self, x: Tensor) -> Tensor:
        return self.many(self.next(self.one(-x)))


class Depthwise(Net):
    def __init__(self) -> None:
        super().__init__()
        self.deep, self.point = conv(12, 24, groups=12), nn.Conv2d(24, 12, 1)

    def body(self, x: Tensor) -> Tensor:
        return self.point(self.deep(x))


class Grouped(Net):
    def __init__(self) -> None:
        super().__init__(8)
        self.grouped = conv(12, 8, groups=4)

    def body(self, x: Tensor) -> Tensor:
        return self.grouped(x)


class GroupNorm(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.one = nn.GroupNorm(4, 12), conv(12, 12)

    def body(self, x: Tensor) -> Tensor:
        return self.one(self.norm(x))


class Twice(Net):
    """One plain, one depthwise convolution, each called on two different inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.deep, self.other = conv(12, 12), conv(12, 12, groups=12), conv(1, 12)

    def forward(self, x: Tensor) -> Tensor:
        y = self.deep(self.stem(x)) + self.shared(self.shared(self.stem(x)))
        return self.head(y * self.deep(self.other(x)))


class Flattened(Net):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.hidden, self.head = nn.MaxPool2d(4), nn.Linear(12 * 4, 7), nn.Linear(7, 2)

    def body(self, x: Tensor) -> Tensor:
        return functional.gelu(self.hidden(self.pool(x).flatten(1)))


class Shuffled(Net):
    def __init__(self) -> None:
        super().__init__(3)
        self.shuffle = nn.PixelShuffle(2)

    def body(self, x: Tensor) -> Tensor:
        return self.shuffle(x)


class PlainInstanceNorm(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.one = nn.InstanceNorm2d(12), nn.Conv2d(12, 12, 3)

    def body(self, x: Tensor) -> Tensor:
        return functional.interpolate(
            input=functional.pad(self.one(self.norm(x)), (1, 1, 1, 1)), scale_factor=2
        )


class Turned(Net):
    """Flips, rolls, repeats, shuffles and bare data: all over space, or channel by channel."""

    def __init__(self) -> None:
        super().__init__(24 * 4)
        self.norm, self.fold = nn.LayerNorm((8, 8)), nn.PixelUnshuffle(2)

    def body(self, x: Tensor) -> Tensor:
        y = self.norm(x).flip(-1).roll((1, 2), (2, 3)) + x.data
        return self.fold(y.repeat(1, 2, 1, 1))


UNDERSTOOD = [
    Residual, Concatenation, Chunks, SqueezeExcite, PRelus, Depthwise, Grouped, GroupNorm, Twice, Flattened,
    Shuffled, PlainInstanceNorm, Turned,
]  # fmt: skip


def build(kind: type[nn.Module]) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    network = kind().double().eval()
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if buffer.is_floating_point() and not name.endswith("rate"):
                buffer.copy_(torch.rand_like(buffer) + 0.5)
    return network, torch.randn(2, 1, 8, 8, dtype=torch.float64)

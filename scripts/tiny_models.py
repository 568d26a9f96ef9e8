"""Writes the models that crates/secateurs-onnx/tests/models.rs shrinks: small versions of common architectures.

    python scripts/tiny_models.py crates/secateurs-onnx/tests/data [MODEL ...]

Needs torch 2.12, onnx and onnxscript. Each is exported by both of PyTorch's exporters; the files are committed, so that the
tests need neither.
"""

import pathlib
import sys
import warnings

import torch
from torch import nn
from torch.nn import functional as F


def conv(a, b, k=3, stride=1, groups=1, act=nn.ReLU):
    layers = [nn.Conv2d(a, b, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(b)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Residual(nn.Module):
    def __init__(self, body, short=None, act=True):
        super().__init__()
        self.body, self.short, self.act = body, short or nn.Identity(), act

    def forward(self, x):
        y = self.body(x) + self.short(x)
        return F.relu(y) if self.act else y


def head(channels, classes=5):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def vgg():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12 * 16, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, 5))


def resnet():
    return nn.Sequential(conv(3, 8), Residual(nn.Sequential(conv(8, 8), conv(8, 8, act=None))),
                         Residual(nn.Sequential(conv(8, 16, stride=2), conv(16, 16, act=None)), conv(8, 16, 1, 2, act=None)),
                         head(16))


def resnext():
    block = nn.Sequential(conv(16, 16, 1), conv(16, 16, groups=4), conv(16, 16, 1, act=None))
    return nn.Sequential(conv(3, 16), Residual(block), head(16))


class SqueezeExcite(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


def mobilenet():
    block = nn.Sequential(conv(8, 16, 1, act=nn.Hardswish), conv(16, 16, groups=16, act=nn.Hardswish), SqueezeExcite(16, 8),
                          conv(16, 8, 1, act=None))
    return nn.Sequential(conv(3, 8, act=nn.ReLU6), Residual(block, act=False), head(8))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.layers, self.last = conv(3, 8), nn.ModuleList([conv(8 + 4 * i, 4) for i in range(3)]), nn.BatchNorm2d(20)
        self.head = head(20)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.head(F.relu(self.last(x)))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b, self.c = conv(3, 8), conv(8, 6, 1), conv(8, 10), conv(8, 4, 1)
        self.head = head(20)

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.cat([self.a(x), self.b(x), self.c(F.max_pool2d(x, 3, 1, 1))], 1))


class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.branch, self.head = conv(3, 16), nn.Sequential(conv(8, 8, 1), conv(8, 8, groups=8)), head(16)

    def forward(self, x):
        a, b = self.stem(x).chunk(2, 1)
        x = torch.cat([a, self.branch(b)], 1)
        n, c, h, w = x.shape
        return self.head(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.up, self.c = conv(3, 8), conv(8, 16), nn.ConvTranspose2d(16, 8, 2, 2), conv(16, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.a(x)
        return self.out(self.c(torch.cat([a, self.up(self.b(F.max_pool2d(a, 2)))], 1)))


class Segment(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = conv(3, 8), conv(8, 12, stride=2), nn.Conv2d(20, 2, 1)

    def forward(self, x):
        a = self.a(x)
        return self.out(torch.cat([a, F.interpolate(self.b(a), scale_factor=2, mode="bilinear", align_corners=False)], 1))


def superresolution():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.PReLU(8), nn.Conv2d(8, 16, 3, padding=1), nn.PixelShuffle(2),
                         nn.Conv2d(4, 3, 3, padding=1))


def convnext():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.depth, self.norm = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.LayerNorm(8)
            self.a, self.b, self.scale = nn.Linear(8, 32), nn.Linear(32, 8), nn.Parameter(torch.randn(8))

        def forward(self, x):
            y = self.norm(self.depth(x).permute(0, 2, 3, 1))
            return x + (self.b(F.gelu(self.a(y))) * self.scale).permute(0, 3, 1, 2)

    return nn.Sequential(nn.Conv2d(3, 8, 2, 2), Block(), head(8))


class Attention(nn.Module):
    """Fused or separate projections, grouped keys and values, rotary positions."""

    def __init__(self, width, heads, groups=None, fused=False, rotary=False, causal=False):
        super().__init__()
        self.heads, self.groups, self.size, self.rotary, self.causal = heads, groups or heads, width // heads, rotary, causal
        self.qkv = nn.Linear(width, 3 * width) if fused else None
        if not fused:
            self.q, self.k = nn.Linear(width, width), nn.Linear(width, self.groups * self.size)
            self.v = nn.Linear(width, self.groups * self.size)
        self.out = nn.Linear(width, width)

    def turn(self, x):
        n, half = x.shape[2], self.size // 2
        angle = torch.arange(n)[:, None] / (100.0 ** (torch.arange(half) / half))
        cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin

    def forward(self, x):
        b, n, c = x.shape
        if self.qkv is not None:
            q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q = self.q(x).view(b, n, -1, self.size).transpose(1, 2)
            k, v = (f(x).view(b, n, -1, self.size).transpose(1, 2) for f in (self.k, self.v))
        if self.rotary:
            q, k = self.turn(q), self.turn(k)
        if self.groups != self.heads:
            times = self.heads // self.groups
            k, v = (t[:, :, None].expand(-1, -1, times, -1, -1).reshape(b, self.heads, n, self.size) for t in (k, v))
        scores = q @ k.transpose(-1, -2) / self.size**0.5
        if self.causal:
            scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, -1))


class Encoder(nn.Module):
    def __init__(self, width=16, fused=False):
        super().__init__()
        self.a, self.b, self.attention = nn.LayerNorm(width), nn.LayerNorm(width), Attention(width, 2, fused=fused)
        self.mlp = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    def forward(self, x):
        x = x + self.attention(self.a(x))
        return x + self.mlp(self.b(x))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.randn(1, 1, 16))
        self.position, self.blocks = nn.Parameter(torch.randn(1, 17, 16)), nn.Sequential(Encoder(fused=True), Encoder(fused=True))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class BERT(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places, self.norm = nn.Embedding(20, 16), nn.Embedding(8, 16), nn.LayerNorm(16)
        self.blocks, self.head = nn.Sequential(Encoder(), Encoder()), nn.Linear(16, 2)

    def forward(self, ids):
        x = self.norm(self.words(ids) + self.places(torch.arange(ids.shape[1])))
        return self.head(torch.tanh(self.blocks(x)[:, 0]))


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class Decoder(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.a, self.b = RMSNorm(width), RMSNorm(width)
        self.attention = Attention(width, 4, groups=2, rotary=True, causal=True)
        self.gate, self.up, self.down = nn.Linear(width, 24, False), nn.Linear(width, 24, False), nn.Linear(24, width, False)

    def forward(self, x):
        x = x + self.attention(self.a(x))
        y = self.b(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class LLaMA(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.blocks, self.norm = nn.Embedding(20, 16), nn.Sequential(Decoder(), Decoder()), RMSNorm(16)
        self.head = nn.Linear(16, 20, False)

    def forward(self, ids):
        return self.head(self.norm(self.blocks(self.words(ids))))


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.a, self.b = nn.Conv2d(3, 12, 4, 4), nn.LayerNorm(12), nn.LayerNorm(12)
        self.tokens = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16))
        self.channels = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12))
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.a(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.b(x))
        return self.head(x.mean(1))


class Windows(nn.Module):
    """Shifted windows."""

    def __init__(self):
        super().__init__()
        self.patch, self.block, self.head = nn.Conv2d(3, 16, 2, 2), Encoder(), nn.Linear(16, 5)

    def forward(self, x):
        x = self.patch(x).permute(0, 2, 3, 1)
        x = torch.roll(x, (-2, -2), (1, 2))
        x = x.view(-1, 2, 4, 2, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, 16)
        x = self.block(x)
        x = x.view(-1, 2, 2, 4, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(-1, 8, 8, 16)
        return self.head(torch.roll(x, (2, 2), (1, 2)).mean((1, 2)))


class Einsums(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 5)

    def forward(self, x):
        q, k, v = (t.view(1, 6, 2, 8) for t in self.qkv(x).chunk(3, -1))
        scores = torch.einsum("b i h d, b j h d -> b h i j", q, k).softmax(-1)
        return self.out(torch.einsum("b h i j, b j h d -> b i h d", scores, v).reshape(1, 6, 16))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.words, self.body, self.head = nn.Embedding(20, 8), kind(8, 12, num_layers=2, batch_first=True), nn.Linear(12, 3)

    def forward(self, ids):
        return self.head(self.body(self.words(ids))[0][:, -1])


class GroupNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b, self.head = nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.Conv2d(8, 12, 3), head(12)

    def forward(self, x):
        return self.head(F.relu(self.b(F.relu(self.norm(self.a(x))))))


class Fused(nn.Module):
    """Attention and root mean square norms, for which version 23 has operators; a width that is no power of two."""

    def __init__(self):
        super().__init__()
        self.words, self.a, self.b = nn.Embedding(20, 24), nn.RMSNorm(24), nn.RMSNorm(24)
        self.q, self.k, self.v = nn.Linear(24, 24), nn.Linear(24, 12), nn.Linear(24, 12)
        self.out, self.head = nn.Linear(24, 24), nn.Linear(24, 20)

    def forward(self, ids):
        x = self.words(ids)
        y = self.a(x)
        q, k, v = (f(y).view(1, 8, -1, 6).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.out(y.transpose(1, 2).reshape(1, 8, 24))
        return self.head(self.b(x))


class LayerNorm(nn.Module):
    """Norms of vectors and of maps, written out."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 12, 3), nn.Conv2d(12, 12, 1), nn.Linear(12, 5)
        self.norm = nn.LayerNorm(12)
        self.weight, self.bias = nn.Parameter(torch.randn(12, 1, 1)), nn.Parameter(torch.randn(12, 1, 1))

    def forward(self, x):
        x = self.a(x)
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = x + self.b((x - mean) / torch.sqrt(variance + 1e-6) * self.weight + self.bias)
        return self.head(self.norm(x.mean((2, 3))))


IMAGE, IDS = torch.zeros(1, 3, 16, 16), torch.zeros(1, 8, dtype=torch.long)
MODELS = {
    "vgg": (vgg, IMAGE), "resnet": (resnet, IMAGE), "resnext": (resnext, IMAGE), "mobilenet": (mobilenet, IMAGE),
    "densenet": (Dense, IMAGE), "googlenet": (Branches, IMAGE), "shufflenet": (Shuffle, IMAGE), "unet": (UNet, IMAGE),
    "segmentation": (Segment, IMAGE), "superresolution": (superresolution, IMAGE), "convnext": (convnext, IMAGE),
    "groupnorm": (GroupNorm, IMAGE), "vit": (ViT, IMAGE), "mixer": (Mixer, IMAGE), "swin": (Windows, IMAGE),
    "einsum": (Einsums, torch.zeros(1, 6, 16)), "bert": (BERT, IDS), "llama": (LLaMA, IDS),
    "lstm": (lambda: Recurrent(nn.LSTM), IDS), "gru": (lambda: Recurrent(nn.GRU), IDS), "layernorm": (LayerNorm, IMAGE), "rnn": (lambda: Recurrent(nn.RNN), IDS),
    "fused": (Fused, IDS),
}


# Versions of the operators that the older exporter writes, where not 17: without one for layer norms.
OPSETS = {"layernorm": 14}
# And those that the newer one writes, where not its default.
OPSETS_NEW = {"fused": 23}
# Those with operators that the older exporter does not know.
NEW_ONLY = {"fused"}


def graph(path, nodes, weights, shapes, opset=23):
    """A model of these nodes, with random weights of these shapes."""
    import numpy
    import onnx
    from onnx import helper

    rng = numpy.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape).astype("f") for name, shape in weights.items()}
    info = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    nodes = [helper.make_node(op, inputs.split(" "), outputs.split(" "), domain=domain, **attributes)
             for op, inputs, outputs, domain, attributes in nodes]
    built = helper.make_graph(nodes, "graph", [info("x", shapes[0])], [info("y", shapes[1])],
                              [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(built, opset_imports=imports, ir_version=10), path)


def contributed(path):
    """Operators of ONNX Runtime."""
    graph(path, [
        ("MatMul", "x a", "xa", "", {}), ("MatMul", "x b", "xb", "", {}),
        ("SkipSimplifiedLayerNormalization", "xa xb scale", "n   s", "com.microsoft", {"epsilon": 0.5}),
        ("MatMul", "n c", "nc", "", {}), ("BiasGelu", "nc bias", "g", "com.microsoft", {}),
        ("MatMul", "g d", "gd", "", {}), ("FastGelu", "gd shift", "f", "com.microsoft", {}),
        ("SkipLayerNormalization", "f s scale2 shift2 shift", "m   t", "com.microsoft", {"epsilon": 1e-5}),
        ("MatMul", "m e", "me", "", {}), ("QuickGelu", "me", "h", "com.microsoft", {}),
        ("MatMul", "h last", "hl", "", {}), ("MatMul", "t last2", "tl", "", {}), ("Add", "hl tl", "y", "", {}),
    ], {"a": (5, 12), "b": (5, 12), "scale": 12, "c": (12, 16), "bias": 16, "d": (16, 12), "shift": 12, "scale2": 12,
        "shift2": 12, "e": (12, 16), "last": (16, 4), "last2": (12, 4)}, ([1, 6, 5], [1, 6, 4]), opset=17)


def rotary(path):
    """Rotary positions and attention of values that are not divided into heads."""
    graph(path, [
        ("MatMul", "x q", "xq", "", {}), ("MatMul", "x k", "xk", "", {}), ("MatMul", "x v", "xv", "", {}),
        ("RotaryEmbedding", "xq cos sin", "rq", "", {"num_heads": 4, "rotary_embedding_dim": 4}),
        ("RotaryEmbedding", "xk cos sin", "rk", "", {"num_heads": 2, "rotary_embedding_dim": 4}),
        ("Attention", "rq rk xv mask", "o", "", {"q_num_heads": 4, "kv_num_heads": 2}),
        ("MatMul", "o out", "y", "", {}),
    ], {"q": (5, 24), "k": (5, 12), "v": (5, 12), "cos": (1, 6, 2), "sin": (1, 6, 2), "mask": (6, 6), "out": (24, 4)},
        ([1, 6, 5], [1, 6, 4]))


def lp_pool(path):
    """A pool of powers."""
    graph(path, [
        ("Conv", "x a", "xa", "", {"kernel_shape": [3, 3]}),
        ("LpPool", "xa", "p", "", {"kernel_shape": [2, 2], "strides": [2, 2], "p": 3}),
        ("Conv", "p b", "y", "", {"kernel_shape": [3, 3]}),
    ], {"a": (8, 3, 3, 3), "b": (4, 8, 3, 3)}, ([1, 3, 16, 16], [1, 4, 5, 5]), opset=17)


HANDMADE = {"contributed": contributed, "rotary": rotary, "lp_pool": lp_pool}


def main(folder, *names):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    for name in names or [*MODELS, *HANDMADE]:
        if name in HANDMADE:
            HANDMADE[name](folder / f"{name}.onnx")
            continue
        build, example = MODELS[name]
        torch.manual_seed(0)
        model = build().eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.running_mean, module.weight.data, module.bias.data):
                    tensor.normal_()
                module.running_var.uniform_(0.5, 2)
        if name not in NEW_ONLY:
            torch.onnx.export(model, (example,), folder / f"{name}.onnx", dynamo=False, opset_version=OPSETS.get(name, 17),
                              input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "batch"}} if name in DYNAMIC else None)
        torch.onnx.export(model, (example,), folder / f"{name}_new.onnx", dynamo=True, external_data=False, verbose=False,
                          opset_version=OPSETS_NEW.get(name), input_names=["x"], output_names=["y"])
        strip(folder / f"{name}_new.onnx")


# Those whose shapes are computed at run time by the older exporter.
DYNAMIC = {"resnet", "shufflenet", "vit", "bert", "llama", "lstm"}


def strip(path):
    """Without what the newer exporter notes of each node: the places in source files, for many times the model's size."""
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    onnx.save(model, path)


if __name__ == "__main__":
    main(*sys.argv[1:])

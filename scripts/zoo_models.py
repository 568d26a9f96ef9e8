"""The models of scripts/zoo.py: 41 architectures of torchvision and timm, and five written here.

All have random weights from a fixed seed. Normalisation layers get statistics and affine parameters that are not those
of a new model, so that a channel that is removed has a shift, a bias and a scale to lose.
"""

import math

import torch
from torch import nn


def torchvision(name, **settings):
    """A model of torchvision."""

    def build():
        import torchvision

        return torchvision.models.get_model(name, weights=None, **settings)

    return build


def segmentation(name):
    """A segmentation model of torchvision, of which only the main output is taken."""

    def build():
        import torchvision

        return MainOutput(torchvision.models.get_model(name, weights=None, weights_backbone=None, aux_loss=False))

    def build_without_aux():
        import torchvision

        return MainOutput(torchvision.models.get_model(name, weights=None, weights_backbone=None))

    return build_without_aux if name.startswith("lraspp") else build


def timm(name, **settings):
    """A model of timm."""

    def build():
        import timm

        return timm.create_model(name, pretrained=False, **settings)

    return build


class MainOutput(nn.Module):
    """Segmentation models return a dictionary."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["out"]


class Bert(nn.Module):
    """An encoder as BERT's: learnt positions, separate q, k and v with biases, GELU, LayerNorm after each sum."""

    def __init__(self, vocabulary=1000, width=256, heads=4, hidden=1024, layers=4, length=64):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(1, length, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(BertLayer(width, heads, hidden) for _ in range(layers))
        self.pooler = nn.Linear(width, width)
        self.head = nn.Linear(width, 2)

    def forward(self, tokens):
        x = self.norm(self.words(tokens) + self.positions)
        for layer in self.layers:
            x = layer(x)
        return self.head(torch.tanh(self.pooler(x[:, 0])))


class BertLayer(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        batch, length, _ = x.shape
        split = lambda y: y.view(batch, length, -1, self.size).transpose(1, 2)
        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        scores = (q @ k.transpose(-1, -2)) / math.sqrt(self.size)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, -1)
        x = self.norm1(x + self.out(mixed))
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))


class Llama(nn.Module):
    """A decoder as LLaMA's: RMSNorm, rotary positions, grouped queries, a gated MLP, no biases."""

    def __init__(self, vocabulary=1000, width=256, heads=8, groups=2, hidden=688, layers=4):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(LlamaLayer(width, heads, groups, hidden) for _ in range(layers))
        self.norm = RmsNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.words(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


class RmsNorm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class LlamaLayer(nn.Module):
    def __init__(self, width, heads, groups, hidden):
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        self.q = nn.Linear(width, heads * self.size, bias=False)
        self.k = nn.Linear(width, groups * self.size, bias=False)
        self.v = nn.Linear(width, groups * self.size, bias=False)
        self.out = nn.Linear(heads * self.size, width, bias=False)
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)

    def rotate(self, x):
        length = x.shape[2]
        frequency = 10000.0 ** (-torch.arange(0, self.size, 2) / self.size)
        angle = torch.arange(length)[:, None] * frequency
        angle = torch.cat([angle, angle], -1)
        half = self.size // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * angle.cos() + turned * angle.sin()

    def forward(self, x):
        batch, length, _ = x.shape
        y = self.norm1(x)
        split = lambda z: z.view(batch, length, -1, self.size).transpose(1, 2)
        q, k, v = split(self.q(y)), split(self.k(y)), split(self.v(y))
        q, k = self.rotate(q), self.rotate(k)
        # As transformers writes it: each key and value head serves several query heads.
        times = q.shape[1] // k.shape[1]
        repeat = lambda z: z[:, :, None].expand(-1, -1, times, -1, -1).reshape(batch, -1, length, self.size)
        k, v = repeat(k), repeat(v)
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.size)
        scores = scores + torch.full((length, length), float("-inf")).triu(1)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, -1)
        x = x + self.out(mixed)
        y = self.norm2(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


class UNet(nn.Module):
    """Three scales down and up again by transposed convolution, with concatenated skips."""

    def __init__(self, widths=(32, 64, 128, 256)):
        super().__init__()
        block = lambda a, b: nn.Sequential(
            nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
            nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
        self.down = nn.ModuleList(block(a, b) for a, b in zip((3, *widths[:-1]), widths))
        pairs = list(zip(widths[:0:-1], widths[-2::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
        self.join = nn.ModuleList(block(2 * b, b) for _, b in pairs)
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x):
        skips = []
        for block in self.down[:-1]:
            skips.append(block(x))
            x = nn.functional.max_pool2d(skips[-1], 2)
        x = self.down[-1](x)
        for up, join, skip in zip(self.up, self.join, reversed(skips)):
            x = join(torch.cat([skip, up(x)], 1))
        return self.head(x)


class Recurrent(nn.Module):
    """Two recurrent layers over a sequence, and a classifier of the last step."""

    def __init__(self, kind, inputs=40, width=128):
        super().__init__()
        self.project = nn.Linear(inputs, width)
        self.recurrent = kind(width, width, num_layers=2, batch_first=True)
        self.hidden, self.head = nn.Linear(width, width), nn.Linear(width, 10)

    def forward(self, x):
        y, _ = self.recurrent(torch.relu(self.project(x)))
        return self.head(torch.relu(self.hidden(y[:, -1])))


# Name: how it is built, and the shape of its input. Convolutional networks get small images where they take them.
MODELS = {
    "resnet18": (torchvision("resnet18"), (3, 64, 64)),
    "resnet50": (torchvision("resnet50"), (3, 224, 224)),
    "resnext50": (torchvision("resnext50_32x4d"), (3, 64, 64)),
    "wide_resnet50_2": (torchvision("wide_resnet50_2"), (3, 64, 64)),
    "vgg11_bn": (torchvision("vgg11_bn"), (3, 224, 224)),
    "alexnet": (torchvision("alexnet"), (3, 224, 224)),
    "mobilenet_v2": (torchvision("mobilenet_v2"), (3, 96, 96)),
    "mobilenet_v3": (torchvision("mobilenet_v3_large"), (3, 96, 96)),
    "mnasnet": (torchvision("mnasnet1_0"), (3, 96, 96)),
    "squeezenet": (torchvision("squeezenet1_1"), (3, 96, 96)),
    "densenet121": (torchvision("densenet121"), (3, 64, 64)),
    "googlenet": (torchvision("googlenet", aux_logits=False, init_weights=True), (3, 64, 64)),
    "inception_v3": (torchvision("inception_v3", aux_logits=False, init_weights=True), (3, 96, 96)),
    "efficientnet_b0": (torchvision("efficientnet_b0"), (3, 64, 64)),
    "efficientnet_v2_s": (torchvision("efficientnet_v2_s"), (3, 64, 64)),
    "regnet_x": (torchvision("regnet_x_400mf"), (3, 64, 64)),
    "regnet_y": (torchvision("regnet_y_400mf"), (3, 64, 64)),
    "shufflenet_v2": (torchvision("shufflenet_v2_x1_0"), (3, 64, 64)),
    "deeplabv3": (segmentation("deeplabv3_resnet50"), (3, 64, 64)),
    "lraspp": (segmentation("lraspp_mobilenet_v3_large"), (3, 64, 64)),
    "fcn": (segmentation("fcn_resnet50"), (3, 64, 64)),
    "ghostnet": (timm("ghostnet_100"), (3, 64, 64)),
    "repvgg": (timm("repvgg_a0"), (3, 64, 64)),
    "hrnet": (timm("hrnet_w18_small"), (3, 64, 64)),
    "dla34": (timm("dla34"), (3, 64, 64)),
    "cspdarknet53": (timm("cspdarknet53"), (3, 64, 64)),
    "res2net50": (timm("res2net50_26w_4s"), (3, 64, 64)),
    "dpn68": (timm("dpn68"), (3, 64, 64)),
    "vit_b_32": (torchvision("vit_b_32", image_size=96), (3, 96, 96)),
    "deit": (timm("deit_tiny_patch16_224", img_size=96), (3, 96, 96)),
    "convnext": (torchvision("convnext_tiny"), (3, 64, 64)),
    "swin": (torchvision("swin_t"), (3, 224, 224)),
    "swin_v2": (torchvision("swin_v2_t"), (3, 256, 256)),
    "maxvit": (torchvision("maxvit_t"), (3, 224, 224)),
    "mobilevit": (timm("mobilevit_s"), (3, 64, 64)),
    "mixer": (timm("mixer_s16_224", img_size=96), (3, 96, 96)),
    "poolformer": (timm("poolformer_s12"), (3, 64, 64)),
    "pit": (timm("pit_s_224"), (3, 224, 224)),
    "xcit": (timm("xcit_tiny_12_p16_224"), (3, 96, 96)),
    "edgenext": (timm("edgenext_small"), (3, 64, 64)),
    "resnet50_gn": (timm("resnet50_gn"), (3, 64, 64)),
    "bert-like": (Bert, (64,)),
    "llama-like": (Llama, (64,)),
    "unet": (UNet, (3, 96, 96)),
    "lstm": (lambda: Recurrent(nn.LSTM), (32, 40)),
    "gru": (lambda: Recurrent(nn.GRU), (32, 40)),
}


def inputs(name, batch=1, seed=1):
    """A random input of a model: an image or a sequence of vectors, or tokens."""
    _, shape = MODELS[name]
    generator = torch.Generator().manual_seed(seed)
    if len(shape) == 1:
        return torch.randint(0, 1000, (batch, *shape), generator=generator)
    return torch.randn(batch, *shape, generator=generator)


def build(name, seed=0):
    """A model with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    model = MODELS[name][0]()
    with torch.no_grad():
        for parameter in model.parameters():
            # Constants of a new model: biases of zero, scales of one, layer scales of nearly zero.
            if parameter.numel() > 1 and parameter.min() == parameter.max():
                size = parameter.abs().max()
                noise = torch.randn_like(parameter)
                parameter.copy_(parameter * (1 + 0.3 * noise) if size > 0.1 else 0.1 * noise + 0.1)
        calibrate(model, name)
    return model.eval()


def calibrate(model, name):
    """Statistics of random inputs for batch normalisation, and not exactly those."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
    model.train()
    model(inputs(name, batch=4, seed=2))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
        deviation = norm.running_var.sqrt()
        norm.running_mean += 0.2 * deviation * torch.randn_like(deviation)
        norm.running_var *= torch.empty_like(deviation).uniform_(0.6, 1.6)

#!/usr/bin/env python3
"""How fast the command `secateurs` prunes checkpoints, against PyTorch and against `cp`, in one run.

    cargo build --release
    pip install torch numpy safetensors
    python benches/checkpoints.py target/release/secateurs           all tables
    python benches/checkpoints.py target/release/secateurs --only script|copy|commands
    python benches/checkpoints.py ... --folder DIR                   where to put the files (about 17 GB)

1. `script`: 90 MB of f32 in the shape of a transformer, half of all weights pruned globally by magnitude. PyTorch is
   timed inside one process, from load to save, without the start of the interpreter and imports; the command is timed
   from outside, as a whole process. They run in turns. Also timed is a script as a careful user writes it, without
   `torch.nn.utils.prune`: the cut by `torch.kthvalue`, and `torch.where`.
2. `copy`: an 8 GB checkpoint of bf16 in shards, pruned globally to 50 %, against `cp -r` and then `sync` of the same
   folder, in turns. The command flushes what it writes; for `cp` the flush is timed too, and shown apart. Memory that
   is anonymous (RssAnon) is read from /proc every few milliseconds. Whether the count is exact over all shards is
   checked by numpy, shard by shard.

3. `commands`: CPU seconds, of user and system, of several commands on a checkpoint of bf16 in four shards, beside
   reading it (`cat`) and copying it (`cp -r`), in turns.

Files are in the page cache as far as they fit, for both.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROUNDS = 7
COPIES = 2


def header(tensors, dtype, size):
    """The beginning of a safetensors file of these tensors: name → shape."""
    text, at = {}, 0
    for name, shape in tensors.items():
        end = at + size * int(np.prod(shape))
        text[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    data = json.dumps(text).encode()
    data += b" " * (-len(data) % 8)
    return len(data).to_bytes(8, "little") + data


def transformer(layers, width, hidden):
    """Names and shapes of the weights of a decoder's layers, biases and norms included."""
    tensors = {}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "o_proj"):
            tensors[f"{at}.self_attn.{part}.weight"] = [width, width]
        tensors[f"{at}.mlp.up_proj.weight"] = [hidden, width]
        tensors[f"{at}.mlp.down_proj.weight"] = [width, hidden]
        tensors[f"{at}.input_layernorm.weight"] = [width]
    return tensors


def chosen(name, shape):
    """The weights that the command prunes of these models unless others are named."""
    return len(shape) == 2


def small(path):
    """90 MB of f32: three layers of width 768, and an embedding, which is not pruned."""
    rng = np.random.default_rng(1)
    tensors = {"model.embed_tokens.weight": [1400, 768], **transformer(3, 768, 3072)}
    with path.open("wb") as file:
        file.write(header(tensors, "F32", 4))
        for shape in tensors.values():
            file.write((0.02 * rng.standard_normal(shape, dtype=np.float32)).tobytes())
    return path.stat().st_size


def large(folder, total):
    """bf16 in shards of about 1 GB: layers of width 2048."""
    rng = np.random.default_rng(2)
    layer = sum(2 * int(np.prod(shape)) for shape in transformer(1, 2048, 8192).values())
    tensors = transformer(total // layer, 2048, 8192)
    per_shard = max(1, 10**9 // layer) * 7
    names = list(tensors)
    parts = [names[i : i + per_shard] for i in range(0, len(names), per_shard)]
    # bf16 is the upper half of f32. One pool of numbers serves all tensors, from another place and scaled by another
    # power of two each.
    pool = (0.02 * rng.standard_normal(1 << 25, dtype=np.float32)).view(np.uint32)
    pool = (pool >> 16).astype(np.uint16)
    placed = {}
    for number, part in enumerate(parts):
        shard = f"model-{number + 1:05}-of-{len(parts):05}.safetensors"
        with (folder / shard).open("wb") as file:
            file.write(header({name: tensors[name] for name in part}, "BF16", 2))
            for name in part:
                count = int(np.prod(tensors[name]))
                start = int(rng.integers(0, len(pool) - count))
                scale = np.uint16(int(rng.integers(0, 4)) << 7)
                file.write((pool[start : start + count] - scale).tobytes())
                placed[name] = shard
    index = {"metadata": {}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return tensors, sum(file.stat().st_size for file in folder.iterdir())


def by_pytorch(source, target, share):
    """Loads, prunes globally and saves; returns seconds."""
    import torch
    from safetensors.torch import load_file, save_file
    from torch.nn.utils import prune

    begun = time.perf_counter()
    tensors = load_file(source)
    modules = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and "embed" not in name:
            modules[name] = torch.nn.Module()
            modules[name].weight = torch.nn.Parameter(tensor)
    listed = [(module, "weight") for module in modules.values()]
    prune.global_unstructured(listed, pruning_method=prune.L1Unstructured, amount=share)
    for name, module in modules.items():
        prune.remove(module, "weight")
        tensors[name] = module.weight.data
    save_file(tensors, target)
    return time.perf_counter() - begun


def by_hand(source, target, share):
    """The same without `torch.nn.utils.prune`; returns seconds. Of ties it prunes too many."""
    import torch
    from safetensors.torch import load_file, save_file

    begun = time.perf_counter()
    tensors = load_file(source)
    weights = {name: t for name, t in tensors.items() if t.ndim == 2 and "embed" not in name}
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    cut = magnitudes.kthvalue(round(share * len(magnitudes))).values
    for name, weight in weights.items():
        tensors[name] = torch.where(weight.abs() > cut, weight, 0.0)
    save_file(tensors, target)
    return time.perf_counter() - begun


def by_command(command, source, target):
    """Prunes half of everything; returns seconds, the highest RssAnon in kB, and the report."""
    args = [command, "prune", source, "-o", target, "--amount", "0.5", "--scope", "global", "--json"]
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        run = subprocess.Popen(args, stdout=said)
        anonymous = 0
        if source.is_dir():
            while run.poll() is None:
                anonymous = max(anonymous, rss_anon(run.pid))
                time.sleep(0.005)
        run.wait()
        seconds = time.perf_counter() - begun
        if run.returncode != 0:
            sys.exit("the command failed")
        said.seek(0)
        return seconds, anonymous, json.load(said)


def rss_anon(process):
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def median(values):
    return sorted(values)[len(values) // 2]


def script_table(command, folder):
    source = folder / "model.safetensors"
    size = small(source)
    theirs, by_script, ours = [], [], []
    for _ in range(ROUNDS):
        for target in ("theirs.safetensors", "script.safetensors", "ours.safetensors"):
            (folder / target).unlink(missing_ok=True)
        by_script.append(by_hand(source, folder / "script.safetensors", 0.5))
        theirs.append(by_pytorch(source, folder / "theirs.safetensors", 0.5))
        ours.append(by_command(command, source, folder / "ours.safetensors")[0])
    same = agree(folder / "theirs.safetensors", folder / "ours.safetensors")
    print(f"{size / 1e6:.0f} MB of f32, half pruned globally, {ROUNDS} rounds in turns, seconds: median (least)")
    print(f"  PyTorch    {median(theirs):7.3f} ({min(theirs):.3f})   load, prune, save; imports not counted")
    print(f"  kthvalue   {median(by_script):7.3f} ({min(by_script):.3f})   load, prune, save by hand; imports not counted")
    print(f"  secateurs  {median(ours):7.3f} ({min(ours):.3f})   the whole process, output flushed to the disk")
    print(f"  ratio      {median(theirs) / median(ours):7.1f} to PyTorch, {median(by_script) / median(ours):.1f} to kthvalue")
    print(f"  entries that differ: {same}")


def agree(theirs, ours):
    from safetensors.numpy import load_file

    theirs, ours = load_file(theirs), load_file(ours)
    return sum(int((theirs[name] != ours[name]).sum()) for name in theirs)


def copy_table(command, folder, total):
    source = folder / "model"
    source.mkdir()
    tensors, size = large(source, total)
    rows = {"cp": [], "sync": [], "secateurs": []}
    anonymous = 0
    for _ in range(COPIES):
        for target in (folder / "copied", folder / "pruned"):
            shutil.rmtree(target, ignore_errors=True)
        os.sync()
        begun = time.perf_counter()
        subprocess.run(["cp", "-r", source, folder / "copied"], check=True)
        rows["cp"].append(time.perf_counter() - begun)
        os.sync()
        rows["sync"].append(time.perf_counter() - begun)
        shutil.rmtree(folder / "copied")
        os.sync()
        seconds, peak, report = by_command(command, source, folder / "pruned")
        rows["secateurs"].append(seconds)
        anonymous = max(anonymous, peak)
    rate = lambda seconds: f"{min(seconds):7.1f} s  {size / 1e9 / min(seconds):5.2f} GB/s"
    print(f"{size / 1e9:.2f} GB of bf16 in {len(list(source.glob('*.safetensors')))} files, the least of {COPIES}")
    print(f"  cp                 {rate(rows['cp'])}")
    print(f"  cp, then flushed   {rate(rows['sync'])}")
    print(f"  secateurs          {rate(rows['secateurs'])}   flushed")
    print(f"  anonymous memory   {anonymous / 1024:7.1f} MB at most")
    entries = sum(int(np.prod(shape)) for name, shape in tensors.items() if chosen(name, shape))
    pruned, wrong = exactness(source, folder / "pruned")
    print(f"  pruned             {pruned:,} of {entries:,}: requested {report['requested']:,}; reported {report['pruned']:,}")
    print(f"  out of place       {wrong}")


def commands_table(command, folder, total):
    source, target = folder / "model4", folder / "out"
    source.mkdir()
    _, size = large(source, total)
    prune = [command, "prune", source, "--quiet", "-o", target]
    rows = {
        "read (cat)": ["sh", "-c", f"cat {source}/*.safetensors > /dev/null"],
        "cp -r": ["cp", "-r", source, target],
        "inspect": [command, "inspect", source, "--quiet"],
        "global, dry run": [*prune[:-2], "--dry-run", "-a", "50%", "--scope", "global"],
        "global": [*prune, "-a", "50%", "--scope", "global"],
        "local": [*prune, "-a", "50%"],
        "2:4": [*prune, "--pattern", "2:4"],
        "global, normalised": [*prune, "-a", "50%", "--scope", "global", "--normalize"],
    }
    seconds = {row: [] for row in rows}
    for _ in range(3):
        for row, args in rows.items():
            shutil.rmtree(target, ignore_errors=True)
            run = subprocess.Popen(args)
            _, status, usage = os.wait4(run.pid, 0)
            if status != 0:
                sys.exit(f"{row} failed")
            seconds[row].append(usage.ru_utime + usage.ru_stime)
    shards = len(list(source.glob("*.safetensors")))
    print(f"{size / 1e9:.2f} GB of bf16 in {shards} files, CPU seconds: the median of 3")
    for row, times in seconds.items():
        print(f"  {row:20} {median(times):6.2f} s")


def exactness(source, pruned):
    """Entries that pruned, and entries on the wrong side of the cut or changed: by numpy alone."""
    pruned, highest_fallen, lowest_kept, wrong = 0, 0, 0xFFFF, 0
    for shard in sorted(source.glob("*.safetensors")):
        before, after = (np.memmap(folder / shard.name, np.uint8, "r") for folder in (source, pruned))
        start = 8 + int.from_bytes(before[:8].tobytes(), "little")
        wrong += int((before[:start] != after[:start]).sum())
        for name, at in json.loads(before[8:start].tobytes()).items():
            begin, end = (start + offset for offset in at["data_offsets"])
            old = np.frombuffer(before[begin:end], np.uint16)
            new = np.frombuffer(after[begin:end], np.uint16)
            if not chosen(name, at["shape"]):
                wrong += int((old != new).sum())
                continue
            gone = new == 0
            pruned += int(gone.sum())
            magnitude = old & 0x7FFF
            wrong += int((old != new)[~gone].sum())
            highest_fallen = max(highest_fallen, int(magnitude[gone].max(initial=0)))
            lowest_kept = min(lowest_kept, int(magnitude[~gone].min(initial=0xFFFF)))
    return pruned, wrong + max(0, highest_fallen - lowest_kept)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", type=Path, help="the built command")
    parser.add_argument("--only", choices=["script", "copy", "commands"], help="one table only")
    parser.add_argument("--folder", type=Path, help="where to put the files")
    parser.add_argument("--bytes", type=int, default=8 * 10**9, help="size of the sharded checkpoint")
    parser.add_argument("--bytes-of-commands", type=int, default=37 * 10**8, help="size of that in four shards")
    arguments = parser.parse_args()
    command = arguments.command.resolve()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.only in (None, "script"):
            script_table(command, Path(folder))
        if arguments.only in (None, "copy"):
            copy_table(command, Path(folder), arguments.bytes)
        if arguments.only in (None, "commands"):
            commands_table(command, Path(folder), arguments.bytes_of_commands)


if __name__ == "__main__":
    main()

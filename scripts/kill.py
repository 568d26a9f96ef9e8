#!/usr/bin/env python3
"""Kills the command `secateurs` at random moments, and starves it of disk, and checks that nothing is lost.

    cargo build --release -p secateurs-cli
    python3 scripts/kill.py target/release/secateurs            # 50 kills of each subcommand by each signal
    python3 scripts/kill.py target/release/secateurs --runs 5

After each kill: the inputs are byte for byte as they were; the output is what it was before, or whole; after SIGINT and
SIGTERM nothing else is left; and the same command, run again with `--force`, succeeds and leaves nothing else. Needs
Python only.
"""

import argparse
import hashlib
import json
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
SUFFIX = ".secateurs-partial"


def write_safetensors(path, tensors):
    """`tensors`: name -> (dtype, shape, bytes)."""
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def checkpoint(folder, rows):
    """A folder of two shards, and PyTorch's pairs of originals and masks."""
    folder.mkdir()
    values = random.Random(1)
    weight = lambda: struct.pack(f"<{rows * 512}f", *(values.uniform(-1, 1) for _ in range(rows * 512)))
    names = [[f"layer.{2 * shard + i}.weight" for i in range(2)] for shard in range(2)]
    files = [f"model-{shard + 1:05}-of-00002.safetensors" for shard in range(2)]
    for file, shard in zip(files, names):
        write_safetensors(folder / file, {name: ("F32", [rows, 512], weight()) for name in shard})
    index = {"metadata": {}, "weight_map": {name: file for file, shard in zip(files, names) for name in shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")


def unbaked(path, rows):
    mask = bytes(i % 3 != 0 for i in range(rows * 512))
    weight = struct.pack(f"<{rows * 512}f", *(i % 1000 - 500 for i in range(rows * 512)))
    write_safetensors(path, {"0.weight_orig": ("F32", [rows, 512], weight), "0.weight_mask": ("BOOL", [rows, 512], mask)})


def digest(path):
    """Every byte and name of a file or folder; None if there is none."""
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    total = hashlib.sha256()
    for file in files:
        total.update(str(file.relative_to(path.parent)).encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("command", type=pathlib.Path)
    arguments.add_argument("--runs", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--rows", type=int, default=2048, help="rows of each matrix of 512 columns")
    options = arguments.parse_args()
    command, chance = options.command.resolve(), random.Random(options.seed)

    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        checkpoint(place / "model", options.rows)
        unbaked(place / "pairs.safetensors", 2 * options.rows)
        run = lambda *args, **how: subprocess.run([command, *args], cwd=place, capture_output=True, **how)
        for args in (["prune", "model", "-o", "pruned", "--amount", "70%", "--masks", "given.safetensors"],
                     ["pack", "pruned", "-o", "packed"]):
            done = run(*args)
            if done.returncode:
                sys.exit(f"{args}: {done.stderr.decode()}")
        inputs = ["model", "pruned", "packed", "given.safetensors", "pairs.safetensors"]
        before = {name: digest(place / name) for name in inputs}
        cases = {
            "prune": ["model", "-o", "out", "--amount", "50%", "--scope", "global"],
            "prune --masks": ["model", "-o", "out", "--amount", "50%", "--masks", "out-masks"],
            "apply": ["model", "--masks", "given.safetensors", "-o", "out"],
            "masks": ["pruned", "-o", "out"],
            "bake": ["pairs.safetensors", "-o", "out"],
            "pack": ["pruned", "-o", "out"],
            "unpack": ["packed", "-o", "out"],
        }
        faults = 0
        print(f"{'':16}" + "".join(f"{name:>22}" for name in SIGNALS) + f"{'full disk':>22}")
        print(f"{'':16}" + f"{'killed / completed':>22}" * len(SIGNALS) + f"{'failed / completed':>22}")
        for case, rest in cases.items():
            args = [case.split()[0], *rest]
            outputs = [place / name for name in ("out", "out-masks")]

            def clear():
                for output in outputs:
                    if output.is_dir():
                        shutil.rmtree(output)
                    output.unlink(missing_ok=True)

            def check(what, ended, cleaned):
                nonlocal faults
                found = []
                for name in inputs:
                    if digest(place / name) != before[name]:
                        found.append(f"{name} was changed")
                now = [digest(output) for output in outputs]
                if now not in (whole, nothing):
                    found.append("the outputs are neither whole nor absent")
                if ended and now != whole:
                    found.append("it succeeded without outputs")
                if cleaned:
                    for left in place.glob(f".*{SUFFIX}"):
                        # Killed before it had its lock, it looks for a minute like that of a run that is beginning.
                        if what == "after SIGKILL" and {p.name for p in left.iterdir()} <= {"lock.new"}:
                            shutil.rmtree(left)
                            continue
                        found.append(f"{left.name} was left, with {sorted(str(p.relative_to(left)) for p in left.rglob('*'))}")
                        shutil.rmtree(left)
                for fault in found:
                    print(f"{case}, {what}: {fault}", file=sys.stderr)
                faults += len(found)

            clear()
            started = time.monotonic()
            done = run(*args)
            duration = time.monotonic() - started
            if done.returncode:
                sys.exit(f"{args}: {done.stderr.decode()}")
            whole, nothing = [digest(output) for output in outputs], [None] * len(outputs)
            print(f"{case:16}", end="", flush=True)
            for name, number in SIGNALS.items():
                killed = 0
                for _ in range(options.runs):
                    clear()
                    process = subprocess.Popen([command, *args], cwd=place, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL)
                    time.sleep(chance.uniform(0, 1.1 * duration))
                    process.send_signal(number)
                    code = process.wait()
                    killed += code == -number
                    check(name, code == 0, number != signal.SIGKILL)
                    # The outputs may have their names already.
                    again = run(*args, "--force")
                    if again.returncode:
                        print(f"{case}, after {name}: {again.stderr.decode()}", file=sys.stderr)
                        faults += 1
                    check(f"after {name}", True, True)
                print(f"{f'{killed} / {options.runs - killed}':>22}", end="", flush=True)
            failed = 0
            largest = max(f.stat().st_size for o in outputs if o.exists() for f in ([o] if o.is_file() else o.rglob("*")))
            for _ in range(options.runs):
                clear()
                limit = chance.randrange(largest + 1)
                full = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
                starved = run(*args, preexec_fn=full)
                failed += starved.returncode != 0
                check("full disk", starved.returncode == 0, True)
            print(f"{f'{failed} / {options.runs - failed}':>22}")
        print(f"{faults} faults")
        sys.exit(faults > 0)


if __name__ == "__main__":
    main()

"""What pruning on several machines costs, beside pruning in one process.

    pip install crates/secateurs-python
    python crates/secateurs-python/benches/distributed.py                      537 MB of float32 in 8 files
    python crates/secateurs-python/benches/distributed.py --make 2 4 512       files, layers, rows of a layer

Every file is counted, and pruned, by one thread, one after the other. Times are those of the processor, so that
other programs disturb little; medians. Memory is how much a fresh process grows at most during the call.
"""

import argparse
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import secateurs
import secateurs.distributed as sd

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))


def timed(call):
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


def one_round(path, place):
    """Seconds of one process, of each pass, of writing, and of the process that merges; and bytes of each pass."""
    files = sorted(path.glob("*.safetensors"))
    outputs = [place / file.name for file in files]
    options = {"overwrite": True, "progress": False}
    _, alone = timed(lambda: secateurs.prune_checkpoint(path, place / "one", 0.5, scope="global", **options))
    search = sd.begin([tensor for file in files for tensor in sd.summarize(file)], 0.5)
    selection, passes, merging, sent = None, [], 0.0, []
    while selection is None:
        counts, seconds = timed(lambda: [sd.count(file, search.task, threads=1) for file in files])
        sent.append((len(pickle.dumps(search.task)), max(len(pickle.dumps(c)) for c in counts)))
        passes.append(seconds)
        selection, seconds = timed(lambda: search.end_pass(sd.merge(counts)))
        merging += seconds
    _, writing = timed(
        lambda: [sd.apply(f, selection, o, overwrite=True, threads=1) for f, o in zip(files, outputs)]
    )
    return [alone, *passes, writing, merging], sent


def grown(path):
    """Bytes that this process grows during a pass."""
    search = sd.begin(sd.summarize(path), 0.5)
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # resets the peak
    sd.count(path, search.task, threads=1)
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1]) - before


def main():
    from make_checkpoint import make

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--make", nargs=3, type=int, default=(8, 32, 2048), metavar=("FILES", "LAYERS", "SIZE"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)  # how this script calls itself
    args = parser.parse_args()
    if args.memory:
        return print(grown(args.memory))
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        make(place / "model", *args.make)
        rounds = [one_round(place / "model", place) for _ in range(args.rounds)]
        sent = rounds[0][1]
        alone, *passes, writing, merging = map(statistics.median, zip(*(seconds for seconds, _ in rounds)))
        print(f"in one process   {alone:.2f} s")
        for number, (seconds, (task, counts)) in enumerate(zip(passes, sent)):
            print(f"pass {number + 1}           {seconds:.2f} s  {task / 1e3:.1f} kB → {counts / 1e3:.1f} kB")
        print(f"writing          {writing:.2f} s\nmerging          {merging:.2f} s")
        print(f"all              {sum(passes) + writing + merging:.2f} s")
        file = next((place / "model").glob("*.safetensors"))
        memory = int(subprocess.check_output([sys.executable, __file__, "--memory", str(file)]))
        print(f"memory           {memory / 1e6:.1f} MB for a file of {file.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()

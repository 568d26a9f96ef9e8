"""Prunes a sharded checkpoint globally by the workers of a Ray cluster, or of one machine.

    pip install ray numpy
    python examples/distributed_ray.py                            a checkpoint that is made here, on this machine
    python examples/distributed_ray.py model/ pruned/ 0.5         your own; every worker can read and write there
    python examples/distributed_ray.py model/ pruned/ 0.5 --address auto        on the cluster that this is part of

On the way, a worker is killed in every pass, at the end of its first task. Ray runs the task again. At the end,
everything is pruned once more in one process, and compared byte by byte.
"""

import argparse
import os
import pickle
import signal
import tempfile
import time
from pathlib import Path

import ray
import secateurs
import secateurs.distributed
from make_checkpoint import make


@ray.remote(num_cpus=1, max_retries=3)
def run(function, value, marker):
    result = function(value)
    if marker is not None and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)  # the result is lost, and what was written remains
    return result


class RayMap:
    """`map`, by tasks of Ray. `kill` is the folder of markers of which tasks were killed, if any are to be."""

    def __init__(self, kill=None):
        self.kill = kill
        self.calls = 0
        self.sent = []

    def __call__(self, function, values):
        self.calls += 1
        values = list(values)
        # The first file of every call, but for the headers.
        marker = self.kill / str(self.calls) if self.kill is not None and self.calls > 1 else None
        tasks = [run.remote(function, value, marker if i == 0 else None) for i, value in enumerate(values)]
        results = ray.get(tasks)
        self.sent.append((len(pickle.dumps(function)), max(len(pickle.dumps(result)) for result in results)))
        return results


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("output", nargs="?", type=Path)
    parser.add_argument("amount", nargs="?", type=float, default=0.5)
    parser.add_argument("--address", help="of a running cluster; without it, Ray is started on this machine")
    parser.add_argument("--workers", type=int, help="CPUs for Ray on this machine")
    parser.add_argument("--make", nargs=3, type=int, default=(4, 12, 512), metavar=("FILES", "LAYERS", "SIZE"))
    parser.add_argument("--no-kill", action="store_true", help="kill no worker")
    args = parser.parse_args()
    options = {"address": args.address} if args.address else {"num_cpus": args.workers}
    ray.init(log_to_driver=False, include_dashboard=False, logging_level="error", **options)

    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        if args.path is None:
            args.path, args.output = place / "model", place / "pruned"
            make(args.path, *args.make)
        markers = None
        if not args.no_kill:
            # Where every worker can see it.
            markers = args.output.parent / f".{args.output.name}-killed"
            markers.mkdir()
        ray.get([run.remote(len, "", None) for _ in range(8)])  # starts workers, which the time is not to include
        ray_map = RayMap(markers)
        start = time.perf_counter()
        report = secateurs.distributed.prune_checkpoint(
            args.path, args.output, args.amount, map=ray_map, threads=1
        )
        seconds = time.perf_counter() - start
        killed = 0
        if markers is not None:
            killed = len(list(markers.iterdir()))
            for marker in markers.iterdir():
                marker.unlink()
            markers.rmdir()
        size = sum(file.stat().st_size for file in args.path.glob("*.safetensors"))
        print(f"{size / 1e6:.0f} MB, {report['pruned']:,} of {report['entries']:,} weights pruned")
        print(f"{ray_map.calls - 2} passes and one that writes in {seconds:.2f} s; {killed} workers were killed")
        for number, (task, counts) in enumerate(ray_map.sent[1:-1]):
            print(f"pass {number + 1}: {task / 1e3:.1f} kB to a worker, at most {counts / 1e3:.1f} kB back")

        one = place / "one"
        start = time.perf_counter()
        expected = secateurs.prune_checkpoint(args.path, one, args.amount, scope="global", progress=False)
        print(f"in one process: {time.perf_counter() - start:.2f} s")
        assert report == expected
        assert contents(one) == contents(args.output)
        for name in contents(one):
            assert (one / name).read_bytes() == (args.output / name).read_bytes(), f"{name} differs"
        print("every byte is equal")
    ray.shutdown()


if __name__ == "__main__":
    main()

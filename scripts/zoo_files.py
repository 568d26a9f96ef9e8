"""The tools of scripts/zoo.py that prune ONNX files: `secateurs shrink`, and onnxsim's structured pruning.

Each function prunes one model at one ratio, and yields what is known so far, so that a failure of a later step keeps what
the steps before it have shown.
"""

import json
import os
import resource
import statistics
import subprocess
import time

import onnx

import zoo_tools


def spent():
    """Processor time of all processes that were started and have ended, in all their threads."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def inexact(command, source, output, ratio, x):
    """`secateurs shrink` with cuts of layer norms accepted; nothing more is run where that changes nothing."""
    chosen = ["--inexact", "layer-norm"]
    plan = [command, "shrink", source, "--plan", "--json", "--amount", str(ratio), *chosen]
    done = subprocess.run(plan, capture_output=True, text=True)
    if done.returncode == 0 and not json.loads(done.stdout)["inexact"]:
        yield {"error": "no layer norms that hold channels"}
        return
    yield from secateurs(command, source, output, ratio, x, options=chosen)


def equal_macs(command, source, output, other, x):
    """`secateurs shrink` to at most the multiply-adds that another tool's model takes, and the latency of both."""
    macs = {name: zoo_tools.multiply_adds(path, x) for name, path in (("dense", source), ("other", other))}
    share = min(1.0, macs["other"] / macs["dense"])
    arguments = [command, "shrink", source, "-o", output, "--macs", str(share), "--force", "--json", "--no-verify"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        yield {"error": done.stderr.strip()[-500:]}
        return
    yield {
        **zoo_tools.measured(output, x),
        "macs_dense": macs["dense"],
        "macs_other": macs["other"],
        "latency": zoo_tools.latencies({"dense": source, "other": other, "secateurs": output}, x),
    }


def secateurs(command, source, output, ratio, x, runs=3, options=()):
    """`secateurs shrink` from file to file: verified once, and timed without verification."""
    masked, result = f"{output}.masked", {}
    arguments = [command, "shrink", source, "-o", output, "--amount", str(ratio), "--force", "--json", *options]
    begun = spent()
    done = subprocess.run([*arguments, "--masked", masked], capture_output=True, text=True)
    result["seconds_verified"] = spent() - begun
    if done.returncode != 0:
        result["error"] = done.stderr.strip()[-500:]
        yield result
        # Perhaps it shrinks, and only cannot prove it.
        done = subprocess.run([*arguments, "--masked", masked, "--no-verify"], capture_output=True, text=True)
        if done.returncode != 0:
            return
    result["report"] = json.loads(done.stdout)
    yield result
    onnx.checker.check_model(str(output))
    result.update(zoo_tools.measured(output, x))
    result["deviation_f32"] = zoo_tools.deviation(masked, output, x)
    result["kept_entries"] = zoo_tools.kept_entries(source, masked)
    os.remove(masked)
    yield result
    seconds = []
    for _ in range(runs):
        begun = spent()
        subprocess.run([*arguments, "--no-verify"], check=True, capture_output=True)
        seconds.append(spent() - begun)
    result["seconds"] = statistics.median(seconds)
    yield result


def onnxsim(source, output, ratio, x):
    """onnxsim's structured pruning of a file; it may leave a model that no longer loads."""
    import onnxsim as tool

    result = {}
    begun = time.process_time()
    model = tool.apply_structured_pruning(str(source), sparsity=ratio)
    onnx.save(model, str(output))
    result["seconds"] = time.process_time() - begun
    result["parameters"] = zoo_tools.parameters(output)
    yield result
    zoo_tools.run(zoo_tools.session(output), x)  # raises if layers do not fit
    result["runs"] = True
    result.update(zoo_tools.measured(output, x))
    yield result

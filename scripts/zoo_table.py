"""Markdown of what scripts/zoo.py measured, between two markers of a file."""

import json
import math
import statistics

BEGIN, END = "<!-- scripts/zoo.py: begin -->", "<!-- scripts/zoo.py: end -->"
SECATEURS = ["secateurs-torchscript", "secateurs-dynamo"]
INEXACT = "inexact-torchscript"
OTHERS = ["torch_pruning-8", "torch_pruning-1", "onnxsim-torchscript"]
# The largest relative deviation of what computes the same: in f64, and in f32.
EXACT, EXACT_F32 = 1e-12, 1e-5


def write(folder, file):
    """Replaces what stands between the markers."""
    import zoo

    results = {label: Results(folder, label) for label in zoo.models()}
    whole = file.read_text()
    before, found, rest = whole.partition(BEGIN)
    if not found:
        raise SystemExit(f"{file} has no line {BEGIN}")
    body = "\n".join([*summary(results), "", *sizes(results), "", *proofs(results), "", *inexact(results), "", *equal_macs(results), "", *times(results)])
    file.write_text(before + BEGIN + "\n\n" + body + "\n\n" + END + rest.partition(END)[2])


class Results:
    """What is known of one model."""

    def __init__(self, folder, label):
        self.label, self.folder = label, folder

    def __getitem__(self, step):
        path = self.folder / f"{self.label}.{step}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def dense(self, step):
        """What the model took that a tool was given."""
        kind = "dynamo" if step.endswith("dynamo") else "torchscript"
        return self[f"export-{kind}"] if self.label != "resnet50@0.45" else Results(self.folder, "resnet50")[f"export-{kind}"]

    def runs(self, step):
        """Whether there is a model that ONNX Runtime runs."""
        return "macs" in self[step]

    def share(self, step, key):
        """What is left of parameters or multiply-adds. Nothing to remove leaves all."""
        if self.runs(step):
            return self[step][key] / self.dense(step)[key]
        return 1.0 if nothing_to_remove(self[step]) else None

    def deviation(self, step):
        """From the masked model, in f64."""
        result = self[step]
        return (result.get("report") or result).get("deviation" if "report" in result else "deviation_f64")

    def speed(self, step):
        """Latency before and after."""
        latency = self["latency"]
        dense = "dense-dynamo" if step == "secateurs-dynamo" else "dense"
        return (latency.get(dense), latency.get(step))


def nothing_to_remove(result):
    """A refusal that says so is an answer."""
    return "nothing" in result.get("error", "").lower() and "error_unverified" not in result


def architectures(results):
    return {label: each for label, each in results.items() if "@" not in label}


def summary(results):
    """One line for each tool."""
    models = architectures(results)
    is_exact = lambda deviation: deviation is not None and deviation <= EXACT
    exact = {label for label, each in models.items() if is_exact(each.deviation("torch_pruning-8"))
             and all(each.runs(step) for step in ("secateurs-torchscript", "torch_pruning-8", "onnxsim-torchscript"))}
    yield (f"| of {len(models)} models | a model that runs | equal to the masked model | multiply-adds left | latency left "
           "| seconds, median | seconds, largest |")
    yield "|---|---|---|---|---|---|---|"
    titles = {
        "secateurs-torchscript": "secateurs",
        "secateurs-dynamo": "secateurs, newer exporter",
        "torch_pruning-8": "Torch-Pruning, multiples of 8",
        "torch_pruning-1": "Torch-Pruning",
        "onnxsim-torchscript": "onnxsim",
    }
    for step, title in titles.items():
        runs = [each for each in models.values() if each.runs(step)]
        deviations = [each.deviation(step) for each in runs]
        equal = sum(map(is_exact, deviations))
        common = [models[label] for label in exact if models[label].runs(step)]
        shares = [each.share(step, "macs") for each in common]
        pairs = [each.speed(step) for each in common if all(each.speed(step))]
        seconds = [each[step]["seconds"] for each in runs if "seconds" in each[step]]
        yield (f"| {title} | {len(runs)} | {'not told' if step.startswith('onnxsim') else equal} | {percent(mean(shares))} "
               f"| {percent(mean([after / before for before, after in pairs]))} "
               f"| {number(statistics.median(seconds)) if seconds else '–'} | {number(max(seconds)) if seconds else '–'} |")
    yield ""
    yield (f"Multiply-adds and latency are geometric means over the {len(exact)} models of which all three tools make one that runs, "
           "and Torch-Pruning's with multiples of 8 equals its masked one.")


def sizes(results):
    """What is left of parameters and multiply-adds."""
    yield "What is left, in percent, of parameters / multiply-adds:"
    yield ""
    yield "| model | parameters, M | multiply-adds, M | secateurs | newer exporter | Torch-Pruning, 8 | Torch-Pruning | onnxsim |"
    yield "|---|---|---|---|---|---|---|---|"
    for label, each in results.items():
        dense = each.dense("secateurs-torchscript")
        if not dense:
            continue
        cells = []
        for step in SECATEURS + OTHERS:
            if not each[step]:
                cells.append("")
            elif each.share(step, "macs") is None:
                cells.append(failure(each[step]))
            else:
                cells.append(f"{100 * each.share(step, 'parameters'):.1f} / {100 * each.share(step, 'macs'):.1f}")
        yield f"| {label} | {dense['parameters'] / 1e6:.2f} | {dense['macs'] / 1e6:.1f} | {' | '.join(cells)} |"


def proofs(results):
    """Deviations, and what is held."""
    yield "The largest deviation from the masked model, relative to its largest output; and the channels that secateurs holds of TorchScript's model:"
    yield ""
    yield "| model | secateurs, f64 | f32, ONNX Runtime | newer exporter, f64 | f32 | Torch-Pruning, f64 | held, of all channels |"
    yield "|---|---|---|---|---|---|---|"
    for label, each in architectures(results).items():
        cells = []
        for step in SECATEURS:
            cells += [small(each.deviation(step)), small(each[step].get("deviation_f32"))]
        yield f"| {label} | {' | '.join(cells)} | {small(each.deviation('torch_pruning-8'))} | {held(each['secateurs-torchscript'])} |"


def inexact(results):
    """What layer norms hold, and what cutting them all the same saves and changes."""
    yield ("Models whose layer norms hold channels, and the same with `--inexact layer-norm` (TorchScript's export): channels that can "
           "be removed, what is left of parameters / multiply-adds, and the largest deviation from the masked model, relative to "
           "its largest output: with norms over the channels that remain, and with plain ones:")
    yield ""
    yield "| model | removable, exact | inexact | left, exact | inexact | proof, f64 | accepted deviation |"
    yield "|---|---|---|---|---|---|---|"
    for label, each in architectures(results).items():
        report, exact = each[INEXACT].get("report"), each["secateurs-torchscript"].get("report")
        if not report or not exact:
            continue
        cells = [percent(1 - sum(of["held"].values()) / of["channels"]) for of in (exact, report)]
        for of in (exact, report):
            left = [of["after"][key] / of["before"][key] if of["after"][key] else None for key in ("parameters", "macs")]
            cells.append(" / ".join(percent(share) for share in left))
        cells += [small(report["deviation"]), small(report["accepted_deviation"])]
        yield f"| {label} | {' | '.join(cells)} |"


def equal_macs(results):
    """Latency at equal multiply-adds."""
    pairs = {}
    rows = []
    for label, each in results.items():
        cells = []
        for rounded in ("8", "1"):
            one = each[f"equal_macs-{rounded}"]
            if "latency" not in one:
                cells.append("–")
                continue
            latency = one["latency"]
            cells.append(f"{100 * one['macs_other'] / one['macs_dense']:.1f} / {100 * one['macs'] / one['macs_dense']:.1f} | "
                         f"{number(latency['other'])} / {number(latency['secateurs'])}")
            deviation = each.deviation(f"torch_pruning-{rounded}")
            if "@" not in label and deviation is not None and deviation <= EXACT:
                pairs.setdefault(rounded, []).append(latency["secateurs"] / latency["other"])
        if any(cell != "–" for cell in cells):
            rows.append(f"| {label} | {' | '.join(cell if ' | ' in cell else '– | –' for cell in cells)} |")
    if not rows:
        return
    told = {"8": "in multiples of 8", "1": "unrounded"}
    means = [f"{mean(pairs[rounded]):.2f} of the latency of Torch-Pruning's models {told[rounded]} ({len(pairs[rounded])} of them)"
             for rounded in ("8", "1") if rounded in pairs]
    yield ("At equal multiply-adds: `secateurs shrink --macs` to the share that Torch-Pruning's model takes. Multiply-adds left, in "
           "percent, and milliseconds, of Torch-Pruning / secateurs. Over the models that equal their masked ones, secateurs' take "
           f"{' and '.join(means)}, as geometric means.")
    yield ""
    yield "| model | multiply-adds, multiples of 8 | ms | multiply-adds, unrounded | ms |"
    yield "|---|---|---|---|---|"
    yield from rows


def times(results):
    """Seconds of pruning, and milliseconds of one image or sequence."""
    yield "Seconds of pruning (secateurs and onnxsim from file to file, Torch-Pruning in memory), and milliseconds of one sample in ONNX Runtime:"
    yield ""
    yield "| model | secateurs, s | verified, s | Torch-Pruning, s | onnxsim, s | dense, ms | secateurs | Torch-Pruning, 8 | Torch-Pruning | onnxsim |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for label, each in results.items():
        ours, latency = each["secateurs-torchscript"], each["latency"]
        taken = [ours.get("seconds"), ours.get("seconds_verified") if "report" in ours else None,
                 each["torch_pruning-8"].get("seconds"), each["onnxsim-torchscript"].get("seconds")]
        names = ["dense", "secateurs-torchscript", "torch_pruning-8", "torch_pruning-1", "onnxsim-torchscript"]
        cells = [number(second) for second in taken] + [number(latency.get(name)) for name in names]
        if any(cell != "–" for cell in cells):
            yield f"| {label} | {' | '.join(cells)} |"


def held(result):
    """The reasons that hold most channels, except that outputs keep theirs."""
    if "report" not in result:
        return result.get("error", "").removeprefix("error: ").split(":")[0]
    reasons, channels = {}, 0
    for group in result["report"]["groups"]:
        channels += group["channels"]
        for reason, count in group["held"].items():
            if reason != "outputs of the graph":
                reasons[reason] = reasons.get(reason, 0) + count
    most = sorted(reasons.items(), key=lambda pair: -pair[1])[:3]
    listed = ", ".join(f"{reason} {100 * count / channels:.0f} %" for reason, count in most)
    return listed


def failure(result):
    """Why there is nothing, in a word or two."""
    error = result.get("error", "no result")
    return "over 60 s" if "TimeoutError" in error else "no model"


def mean(values):
    """The geometric mean."""
    values = [value for value in values if value]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def percent(value):
    return "–" if value is None else f"{100 * value:.1f} %"


def number(value):
    if value is None:
        return "–"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def small(value):
    return "–" if value is None else "0" if value == 0 else f"{value:.0e}" if value < 0.01 else f"{value:.2f}"

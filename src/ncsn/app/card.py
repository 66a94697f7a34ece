"""The model card of a run: README.md with metadata, as model hubs read it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from ncsn.app.report import words_of
from ncsn.app.summary import facts_of
from ncsn.evaluation import Evaluation, Measure
from ncsn.files import VERSION
from ncsn.model import Model
from ncsn.parts import to_plain

SHOWN_COLUMNS = 30
"""Most columns of a table that the card names."""


def model_card(model: Model, evaluation: Evaluation, name: str, n_training: int, n_held_out: int) -> str:
    """Return the model card of a trained model, what it says taken from the run.

    The metadata follow the format of the Hugging Face hub; the license is left to who publishes it.

    Args:
        model: The model.
        evaluation: Its judgement on the rows held back.
        name: What the data are called.
        n_training: Rows that it was trained on.
        n_held_out: Rows that were held back.
    """
    sections = {
        f"ncsn: {name}": _what_it_is(model, name, n_training),
        "Use": _use(model),
        "How good it is": _figures(model, evaluation, n_training, n_held_out),
        "Limits": _limits(model, evaluation, n_training),
    }
    metadata = "\n".join(["---", *_metadata(model, evaluation, name), "---"])
    body = "\n\n".join(
        f"{'#' if number == 0 else '##'} {head}\n\n{text}" for number, (head, text) in enumerate(sections.items())
    )
    return f"{metadata}\n\n{body}\n"


def _metadata(model: Model, evaluation: Evaluation, name: str) -> Iterator[str]:
    """Yield lines of YAML; every text is quoted as JSON, which YAML reads."""
    images, finite = (
        len(model.encoding.data_shape) > 1,
        [m for m in evaluation.comparison.measures if isfinite(m.value)],
    )
    kind = "tabular" if model.encoding.table else "images" if images else "arrays"
    yield "library_name: ncsn"
    yield "# license: say here under which license you publish the model"
    yield "tags:"
    yield from (f"- {tag}" for tag in ("ncsn", "score-based-generative-modeling", "diffusion", kind))
    if images:
        yield "pipeline_tag: unconditional-image-generation"
    yield "metrics:"
    yield from (f"- {measure.name}" for measure in finite)
    yield "model-index:"
    yield f"- name: {_quoted(f'ncsn {name}')}"
    yield "  results:"
    yield "  - task:"
    yield f"      type: {'unconditional-image-generation' if images else 'other'}"
    yield "      name: samples held against held-out data"
    yield "    dataset:"
    yield f"      name: {_quoted(name)}"
    yield f"      type: {_quoted(name)}"
    yield "    metrics:"
    for measure in finite:
        yield f"    - type: {measure.name}"
        yield f"      value: {measure.value:.6g}"
        yield f"      name: {_quoted(f'{words_of(measure)[0]} (real data: {measure.floor:.4g})')}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _what_it_is(model: Model, name: str, n_training: int) -> str:
    encoding, network = model.encoding, getattr(model.score_model, "network", model.score_model)
    shape = " x ".join(map(str, encoding.data_shape))
    if encoding.table:
        columns = [f"`{column.name}`" for column in encoding.table]
        more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
        what = f"rows of a table of {len(columns)} columns: {', '.join(columns[:SHOWN_COLUMNS])}{more}"
    else:
        what = f"images of {shape} values" if len(encoding.data_shape) > 1 else f"rows of {shape} numbers"
    known = (
        "" if encoding.classes is None else f" Its classes are {', '.join(f'`{label}`' for label in encoding.classes)}."
    )
    weights = sum(weight.numel() for weight in model.score_model.parameters())
    paper = f" ({model.method.paper})" if model.method.paper else ""
    if model.contexts is not None and model.contexts.container.columns is not None:
        what += f", given {', '.join(f'`{name}`' for name in model.contexts.container.columns)}"
    return (
        f"A score-based generative model of {what}, trained on {n_training:,} rows of `{name}` by the library `ncsn` "
        f"{VERSION}.{known}\n\n"
        f"- Method: {model.name}{paper}, {model.plan.training_steps:,} training steps.\n"
        f"- Network: {type(network).__name__}, {weights:,} weights.\n"
        f"- Noise levels: {model.plan.sigma_min:.4g} to {model.plan.sigma_max:.4g}, in standardised units.\n\n"
        "`report.html` shows samples, figures and the settings with the reason of each; `config.json` and "
        "`model.safetensors` are the model. Nothing is a pickle."
    )


def _use(model: Model) -> str:
    modules = sorted({path.partition(":")[0] for path in _own_paths([to_plain(model.method), to_plain(model.network)])})
    allowed = f", allow={json.dumps(modules)}" if modules else ""
    lines = [
        "from ncsn import NCSN",
        "",
        f'model = NCSN.load("."{allowed})  # the folder that this file lies in',
        "samples = model.sample(16)",
    ]
    told = ""
    if model.contexts is not None and model.contexts.container.columns is not None:
        names = [str(name) for name in model.contexts.container.columns]
        told = "".join(f" --given {shlex.quote(f'{name}=...')}" for name in names)
        lines[-1:] = [
            f"given = {{{', '.join(f'{name!r}: ...' for name in names)}}}",
            "samples = model.sample(16, context=given)",
        ]
    if model.encoding.classes is not None:
        lines.append(f"of_one_class = model.sample(16, label={model.encoding.classes.tolist()[0]!r})")
    if model.method.gives_score:
        lines.append(f"log_densities = model.score_samples(samples{', context=given' if told else ''})")
    code = "\n".join(["```python", *lines, "```"])
    own = (
        "" if not modules else f"\n\nIt uses code of its own, of {', '.join(modules)}, which has to be there to import."
    )
    ending = "png" if len(model.encoding.data_shape) > 1 else "csv"
    allow = "".join(f" --allow {module}" for module in modules)
    return f"{code}\n\nOr on the command line: `ncsn sample . -n 16 -o samples.{ending}{told}{allow}`.{own}"


def _own_paths(plain: Any) -> Iterator[str]:
    """Yield the import paths of code that is not the library's in what `to_plain` returned."""
    if isinstance(plain, list):
        for entry in plain:
            yield from _own_paths(entry)
    elif isinstance(plain, Mapping):
        for name, entry in plain.items():
            if name in ("part", "path") and isinstance(entry, str):
                yield from [entry] * (":" in entry)
            else:
                yield from _own_paths(entry)


def _figures(model: Model, evaluation: Evaluation, n_training: int, n_held_out: int) -> str:
    comparison = evaluation.comparison
    facts = [
        f"- {fact}: {value:.4g}"
        for fact, value in facts_of(model, evaluation, n_training, n_held_out).items()
        if isinstance(value, float)
    ]
    table = ["| measure | samples | real data | ratio | |", "|---|---|---|---|---|", *map(_row, comparison.measures)]
    head = (
        f"{comparison.n_rows:,} samples held against {comparison.n_held_out:,} rows that training "
        "never saw. Real data is what as many training rows reach against the same rows; a ratio of 1.00 means as good as real "
        "data."
    )
    return "\n\n".join([head, "\n".join(table), *(["\n".join(facts)] if facts else [])])


def _row(measure: Measure) -> str:
    label, meaning = words_of(measure)
    ratio = "" if measure.ratio is None else f"{measure.ratio:.2f}"
    return f"| {label} | {measure.value:.4g} | {measure.floor:.4g} | {ratio} | {meaning} |"


def _limits(model: Model, evaluation: Evaluation, n_training: int) -> str:
    limits = [
        f"It knows what {n_training:,} rows of one source show, with their gaps and biases, and was judged on held-out rows of "
        "the same source only.",
        "Its files tell of the data: `config.json` holds ranges and categories, and `report.html` and `figures/` show rows of "
        "them. Samples can repeat training rows. Look before you publish.",
    ]
    if evaluation.n_impossible:
        limits.append(
            f"{evaluation.n_impossible:,} held-out rows cannot be by the model, for values that training never had."
        )
    if model.is_bound:
        limits.append("Its log-densities are lower bounds, of densities times probabilities.")
    if not model.method.gives_score:
        limits.append("It knows where the flow of noise ends, and has no score: no log-density and no filling of gaps.")
    return "\n".join(f"- {limit}" for limit in limits)

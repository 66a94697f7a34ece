"""Compute what the studio on the site shows: its module and style, and for each toy set fields and particles of the library.

    python docs/studio_files.py           # docs/studio/: a minute; nothing where nothing has changed
    python docs/studio_files.py --index   # without the sets, which are then missing: seconds

About half a megabyte a set, as `ncsn.studio.messages` packs them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ncsn import create_noise_schedule
from ncsn.data.toys import TOYS
from ncsn.studio import Session, Settings
from ncsn.studio.messages import packed, unpacked
from ncsn.studio.pages import module, style

OUT = Path(__file__).parent / "studio"
ROOT = Path(__file__).parents[1]

LEVELS, SIGMA_MIN, GRID = 14, 0.04, 30
"""Noise levels of the recorded fields, the smallest of them, and their points along an axis."""

LANGEVIN_SIGMA = 0.15
"""Where plain Langevin dynamics walks."""

SAMPLERS = ("langevin", "annealed_langevin", "ancestral", "ddim")
"""Those that `local.js` knows too, for what is drawn."""

STATES, PARTICLES = 40, 200
"""Most states of a walk, and its particles."""

USUAL: dict[str, Any] = {"levels": 30, "per_level": 10, "langevin_steps": 400, "step": 0.2, "particles": PARTICLES}


def asked(session: Session, settings: dict[str, Any] | None = None, **do: Any) -> tuple[dict[str, Any], Any]:
    """Ask a session, and return its answer."""
    head, arrays = unpacked(session.answer({"settings": settings or {}, "do": do}))
    if "error" in head:
        raise SystemExit(head["error"])
    return head, arrays


def walked(session: Session) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """Walk all particles to their ends, and return some states of each."""
    keys = ("steps", "sigmas", "evaluations")
    told: dict[str, dict[str, list[Any]]] = {name: {key: [] for key in (*keys, "x")} for name in SAMPLERS}
    done = False
    while not done:
        head, arrays = asked(session, walk={"steps": 50})
        for walk in head["walks"]:
            mine = told[walk["name"]]
            for key in keys:
                mine[key] += walk[key]
            mine["x"] += [*arrays.get(f"walk:{walk['name']}", [])]
        done = all(walk["done"] for walk in head["walks"])
    walks, frames = [], {}
    for name, walk in told.items():
        every = -(-len(walk["x"]) // STATES)
        kept = sorted({*range(0, len(walk["x"]), every), len(walk["x"]) - 1})
        walks.append({"name": name, **{key: [walk[key][k] for k in kept] for key in keys}})
        frames[f"walk:{name}"] = torch.from_numpy(np.stack([walk["x"][k] for k in kept]))
    return walks, frames


def recorded(name: str) -> bytes:
    """Train on a toy set, and return what is shown of it."""
    session = Session(Settings.of({"data": name, "samplers": SAMPLERS, "score": "learned", **USUAL}))
    asked(session, train={"steps": session.settings.steps})
    head, arrays = asked(session, points=1)
    sigmas = create_noise_schedule(SIGMA_MIN, head["ends"][1], LEVELS).tolist()
    fields = [asked(session, {"sigma": sigma}, field={"n": GRID})[1] for sigma in sigmas]
    asked(session, {"sigma": LANGEVIN_SIGMA})
    walks, frames = walked(session)
    truth = session.source.true_shares(-1, None)
    out = {key: torch.tensor(arrays[key]) for key in ("points", "labels") if key in arrays}
    out |= {key: torch.tensor(np.stack([field[key] for field in fields])) for key in ("exact", "learned", "density")}
    told = {"sigmas": sigmas, "ends": [SIGMA_MIN, head["ends"][1]], "walks": walks}
    return packed(
        told | {"of": session.source.of, "labels": session.source.n_labels}, {**out, **frames, "truth": truth}
    )


def index() -> bytes:
    """Return the answer to the page's first question, of what there is without Python."""
    head, _ = asked(Session(Settings.of({"data": "swiss_roll", **USUAL})), hello=1)
    head["names"] |= {"data": [*TOYS, "mixture", "drawing"], "samplers": SAMPLERS}
    head["defaults"] = head["settings"]
    return packed(head, {})


def main() -> None:
    """Make the files that are not up to date."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    (OUT / "studio.js").write_text(module(), encoding="utf-8")
    (OUT / "studio.css").write_text(style(), encoding="utf-8")
    (OUT / "index.bin").write_bytes(index())
    if "--index" in sys.argv:
        return
    found = hashlib.sha256()
    for path in [*sorted((ROOT / "src").rglob("*.py")), Path(__file__)]:
        found.update(path.read_bytes())
    mark = OUT / "digest.txt"
    if mark.exists() and mark.read_text() == found.hexdigest() and all((OUT / f"{name}.bin").exists() for name in TOYS):
        return
    for name in TOYS:
        print(f"recording {name}", flush=True)
        (OUT / f"{name}.bin").write_bytes(recorded(name))
    mark.write_text(found.hexdigest())


if __name__ == "__main__":
    main()

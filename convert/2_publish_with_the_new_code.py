"""Writes the shipped models in the new layout, from the weights that the first script dumped.

Prints the largest difference of four samples, and the int8 metrics before and after.
"""

import json, pickle, shutil, sys
from dataclasses import asdict, replace, fields
from pathlib import Path
import numpy as np
import zoo
from zoo import catalog, publishing, recipes, training, loading, evaluation
from zoo.loading import TFLITE

old = pickle.load(open("weights.pkl", "rb"))
before = pickle.load(open("before.pkl", "rb"))
root = Path("saved_models")
only = sys.argv[1:] or list(old)
for name in only:
    family, config, nets = old[name]
    recipe = recipes.named(name)
    model = training.family_of(recipe)(**recipe.model, seed=recipe.seed, name=config["name"])
    for k, w in nets.items():
        getattr(model, k).set_weights(w)
    model.compiled = False
    values = json.loads((root / name / "card.json").read_text())
    values.pop("condition_shape", None)
    values["recipe"] = values["recipe"] | asdict(recipe)
    card = catalog.Card(
        **{f.name: values[f.name] for f in fields(catalog.Card) if f.name in values}
        | model.description()
        | {"image_shape": tuple(values["image_shape"])}
    )
    card = replace(card, metrics=[m for m in card.metrics if "@" not in m["name"]])
    oldint8 = {m["name"]: m for m in values["metrics"] if "@" in m["name"]}
    with publishing.anew(root / name) as partial:
        (partial / publishing.EXTRA).mkdir(parents=True)
        model.save(partial / publishing.EXTRA / "model.keras")
        shutil.copy(root / name / "samples.png", partial / "samples.png")
        publishing.finish(partial, card, model, recipe, None)
    kw = {}
    if model.condition_shape:
        kw = dict(
            condition=np.random.default_rng(0).random((4, *model.condition_shape), dtype="float32")
        )
    again = zoo.load(name)
    d = abs(again.sample(4, seed=0, **kw) - before[name]).max()
    im = np.random.default_rng(1).random((4, *model.image_shape), dtype="float32")
    if model.num_classes:
        kw = dict(labels=[1, 2, 3, 4])
    sc = abs(again.score(im, **kw) / before[name + "/score"] - 1).max()
    print(name, "sample", d, "score rel", sc, flush=True)
    for m in zoo.info(name).metrics:
        if "@" in m["name"]:
            print(
                "  ",
                m["name"],
                oldint8[m["name"]]["value"],
                "->",
                m["value"],
                "±",
                m["stderr"],
                flush=True,
            )

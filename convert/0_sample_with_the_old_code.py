import zoo, numpy as np, pickle

out = {}
for n in zoo.list_models():
    m = zoo.load(n)
    kw = {}
    if m.condition_shape:
        kw = dict(
            condition=np.random.default_rng(0).random((4, *m.condition_shape), dtype="float32")
        )
    out[n] = m.sample(4, seed=0, **kw)
    im = np.random.default_rng(1).random((4, *m.image_shape), dtype="float32")
    if m.num_classes:
        kw = dict(labels=[1, 2, 3, 4])
    out[n + "/score"] = m.score(im, **kw)
pickle.dump(out, open("before.pkl", "wb"))

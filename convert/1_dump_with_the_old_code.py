import zoo, pickle, numpy as np, json, zipfile

out = {}
for n in zoo.list_models():
    m = zoo.load(n)
    nets = {
        k: getattr(m, k).get_weights()
        for k in ("encoder", "decoder", "generator", "discriminator", "sampler")
        if hasattr(m, k)
    }
    if n == "cvae_quadrant_mnist":
        nets = {
            "encoder": m.encoder.get_weights(),
            "decoder": [
                w
                for l in m.decoder.layers
                if not l.name.startswith("prior")
                for w in l.get_weights()
            ],
            "prior": [
                w
                for name in ("prior", "prior_mean", "prior_log_var")
                for w in m.decoder.get_layer(name).get_weights()
            ],
        }
    out[n] = (type(m).__name__, m.get_config(), nets)
pickle.dump(out, open("weights.pkl", "wb"))

"""Draws the pictures of the documentation from the shipped models, with fixed seeds.

    python docs/pictures.py

PNG files hold images of the models, SVG files hold charts. The test images are the first ones of
MNIST and Fashion-MNIST, from tensorflow-datasets.
"""

from pathlib import Path

import numpy as np

import zoo
from zoo.utils import image_files

FOLDER = Path(__file__).parent / "assets"
BLUE, ORANGE, GREEN, GREY = "#3f6ad8", "#e07b1a", "#2e8b57", "#888888"


def rows(*batches, name):
    """Writes a sheet with one row for each batch of images, all of the same length."""
    images = np.concatenate(batches)
    image_files.write(image_files.sheet(images, columns=len(batches[0])), FOLDER / name)


class Chart:
    """Line chart as an SVG file.

    Args:
        x: (left, right), the range of the horizontal axis.
        y: (bottom, top), the range of the vertical axis.
        title: Description of the picture for screen readers.
    """

    WIDTH, HEIGHT, MARGIN = 520, 260, 44

    def __init__(self, x, y, title):
        self.x, self.y = x, y
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {self.HEIGHT}" '
            f'font-family="sans-serif" font-size="12" role="img"><title>{title}</title>',
            f'<rect width="{self.WIDTH}" height="{self.HEIGHT}" rx="6" fill="#ffffff"/>',
        ]
        left, bottom = self.at(x[0], y[0])
        right, top = self.at(x[1], y[1])
        self.parts.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#999"/>')

    def at(self, x, y):
        """Returns the position of a point in the picture, rounded to a tenth of a pixel."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        inner = self.WIDTH - 2 * self.MARGIN, self.HEIGHT - 2 * self.MARGIN
        return round(self.MARGIN + across * inner[0], 1), round(
            self.HEIGHT - self.MARGIN - up * inner[1], 1
        )

    def line(self, x, y, colour, fill=False, dashed=False):
        """Draws a line, or the area between it and the horizontal axis."""
        points = [self.at(*point) for point in zip(x, np.clip(y, *self.y))]
        if fill:
            points = [self.at(x[0], self.y[0]), *points, self.at(x[-1], self.y[0])]
        path = "M" + "L".join(f"{across} {down}" for across, down in points)
        style = f'fill="{colour}" fill-opacity="0.25"' if fill else 'fill="none"'
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<path d="{path}" {style} stroke="{colour}" stroke-width="2"{dash}/>')

    def circle(self, x, y, radius, colour, opacity=0.6):
        """Draws a point, with a radius in pixels."""
        across, down = self.at(x, y)
        self.parts.append(
            f'<circle cx="{across}" cy="{down}" r="{radius}" fill="{colour}" '
            f'fill-opacity="{opacity}"/>'
        )

    def text(self, x, y, text, colour="#333", anchor="start", shift=(0, 0)):
        """Writes text at a point, shifted by pixels."""
        across, down = self.at(x, y)
        self.parts.append(
            f'<text x="{across + shift[0]}" y="{down + shift[1]}" fill="{colour}" '
            f'text-anchor="{anchor}">{text}</text>'
        )

    def axes(self, label_x, label_y, ticks_x=(), ticks_y=()):
        """Labels the axes."""
        for tick in ticks_x:
            self.text(tick, self.y[0], f"{tick:g}", GREY, "middle", (0, 15))
        for tick in ticks_y:
            self.text(self.x[0], tick, f"{tick:g}", GREY, "end", (-5, 4))
        self.text(np.mean(self.x), self.y[0], label_x, anchor="middle", shift=(0, 34))
        self.text(self.x[0], self.y[1], label_y, shift=(-30, -12))

    def write(self, name):
        """Writes the SVG file."""
        (FOLDER / name).write_text("\n".join([*self.parts, "</svg>\n"]), encoding="utf-8")


def normal_density(x, mean, deviation):
    """Computes the density of a normal distribution."""
    return np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))


def draw_samples(images):
    """Draws samples, reconstructions, traversals and interpolations."""
    for name in ("gan_mnist", "dcgan_mnist", "vae_dense_mnist", "vae_mnist", "glow_mnist"):
        samples = zoo.load(name, "litert").sample(48, seed=0)
        rows(*samples.reshape(4, 12, 28, 28, 1), name=f"{name}.png")

    vae = zoo.load("vae_mnist", "litert")
    rows(images[:12], vae.reconstruct(images[:12]), name="reconstructions.png")
    pairs = [(0, 1), (2, 3), (4, 6), (8, 9)]
    rows(*(vae.interpolate(images[a], images[b], 12) for a, b in pairs), name="interpolation.png")
    # Its prior is N(0, I), with which each latent variable can be compared.
    dense = zoo.load("vae_dense_mnist", "litert")
    means, log_vars = dense.encode(images)
    kl = 0.5 * (np.exp(log_vars) + means**2 - 1 - log_vars).mean(axis=0)
    print(f"{(kl > 0.01).sum()} of {len(kl)} latent variables have a divergence above 0.01 nats")
    largest = np.argsort(-kl)[:4]
    z = means[:1] + np.zeros((len(largest), 11, 1), np.float32)
    for row, dimension in enumerate(largest):
        z[row, :, dimension] = np.linspace(-3, 3, 11)
    rows(*(dense.decode(line) for line in z), name="traversal.png")
    # Pixels mixed directly, for comparison with the mixture of latent vectors.
    weights = np.linspace(0, 1, 12, dtype=np.float32)[:, None, None, None]
    mixed = images[pairs[0][0]] * (1 - weights) + images[pairs[0][1]] * weights
    rows(mixed, vae.interpolate(images[0], images[1], 12), name="pixels.png")

    cvae = zoo.load("cvae_mnist", "litert")
    styles = [cvae.sample(10, labels=np.arange(10), seed=[seed] * 10) for seed in (0, 1, 2, 3)]
    rows(*styles, name="labels.png")

    chart = Chart((0.5, 50.5), (0, 1.1 * kl.max()), "Divergence of each latent variable")
    for place, value in enumerate(np.sort(kl)[::-1], start=1):
        across = np.array([place - 0.35, place - 0.35, place + 0.35, place + 0.35])
        chart.line(across, [0, value, value, 0], BLUE, fill=True)
    ticks = [0, 1, 2, 3]
    chart.axes("latent variables, sorted", "KL, nats", (1, 10, 20, 30, 40, 50), ticks)
    chart.write("kl.svg")
    return largest, means


def draw_posterior(largest, means, labels):
    """Draws posterior means of three digits over the prior's circles."""
    chart = Chart((-5.5, 5.5), (-3, 3), "Posterior means of digits 0, 1 and 7, and the prior")
    angle = np.linspace(0, 2 * np.pi, 90)
    for radius in (1, 2):
        chart.line(radius * np.cos(angle), radius * np.sin(angle), GREY, dashed=True)
    for digit, colour in ((0, BLUE), (1, ORANGE), (7, GREEN)):
        chosen = means[labels == digit][:80, largest[:2]]
        for x, y in np.clip(chosen, (-5.4, -2.9), (5.4, 2.9)):
            chart.circle(x, y, 3, colour)
        chart.text(4.4, 2.6 - 0.5 * (0, 1, 7).index(digit), f"digit {digit}", colour)
    chart.axes("first latent variable", "second", range(-4, 5, 2), range(-2, 3))
    chart.write("posterior.svg")


def draw_discriminator(images, labels):
    """Draws the samples that D finds most and least real, and its outputs."""
    gan = zoo.load("cdcgan_mnist")
    given = np.arange(400) % 10
    samples = gan.sample(400, labels=given, seed=0)
    logits = gan.discriminate(samples, given)
    print(f"test digits judged real: {(gan.discriminate(images, labels) > 0).mean():.2f}")
    print(f"samples judged real: {(logits > 0).mean():.2f}")
    order = np.argsort(logits)
    rows(samples[order[-12:]], samples[order[:12]], name="discriminator.png")
    histograms(
        {
            "test digits": (gan.discriminate(images, labels), BLUE),
            "samples of G": (logits, ORANGE),
            "test digits with a wrong label": (gan.discriminate(images, (labels + 1) % 10), GREY),
        },
        "output of D, the logit of D(x)",
        "discriminator.svg",
    )


def histograms(groups, label, name, bounds=None, bins=40):
    """Draws the distributions of groups {title: (values, colour)} in one chart."""
    together = np.concatenate([values for values, _ in groups.values()])
    low, high = bounds or (together.min(), together.max())
    edges = np.linspace(low, high, bins + 1)
    shares = {
        title: np.histogram(np.clip(values, low, high), edges)[0] / len(values)
        for title, (values, _) in groups.items()
    }
    top = 1.1 * max(share.max() for share in shares.values())
    chart = Chart((low, high), (0, top), f"Distributions of {', '.join(groups)}")
    for place, (title, (_, colour)) in enumerate(groups.items()):
        chart.line(np.repeat(edges, 2)[1:-1], np.repeat(shares[title], 2), colour, fill=True)
        chart.text(low, top * (0.97 - 0.09 * place), title, colour, shift=(12, 0))
    step = 10 ** np.floor(np.log10((high - low) / 2))
    ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    chart.axes(label, "share of the images", ticks[:: 1 + len(ticks) // 9])
    chart.write(name)


def draw_anomalies(images, clothes):
    """Draws the anomaly scores of digits, clothes and noise."""
    vae = zoo.load("vae_mnist", "litert")
    noise = np.random.default_rng(0).uniform(size=images.shape).astype(np.float32)
    groups = {
        "digits": (vae.score(images), BLUE),
        "clothes": (vae.score(clothes), ORANGE),
        "noise": (vae.score(noise), GREY),
    }
    for title, (values, _) in groups.items():
        print(f"{title}: median score {np.median(values):.0f} nats")
    logarithms = {title: (np.log10(values), colour) for title, (values, colour) in groups.items()}
    histograms(logarithms, "log10 of the score in nats", "anomalies.svg")
    order = np.argsort(groups["digits"][0])
    rows(images[order[:12]], images[order[-12:]], name="anomalies.png")


def draw_equations():
    """Draws the charts of the equations, which need no model."""
    x = np.linspace(-5, 5, 201)
    data, model = normal_density(x, -1, 1), normal_density(x, 1, 1.3)
    chart = Chart((-5, 5), (0, 1), "Optimal discriminator of two normal distributions")
    chart.line(x, data, BLUE, fill=True)
    chart.line(x, model, ORANGE, fill=True)
    chart.line(x, data / (data + model), GREEN)
    chart.line(x, np.full_like(x, 0.5), GREY, dashed=True)
    chart.text(-1.2, 0.42, "p_data", BLUE, "end", (-36, 0))
    chart.text(1.6, 0.32, "p_G", ORANGE)
    chart.text(-0.4, 0.8, "D*(x)", GREEN)
    chart.axes("x", "", range(-4, 5, 2), (0, 0.5, 1))
    chart.write("optimal.svg")

    logit = np.linspace(-6, 6, 121)
    chart = Chart((-6, 6), (-6, 6), "Losses of the generator against the logit of D(G(z))")
    chart.line(logit, np.logaddexp(0, -logit), BLUE)
    chart.line(logit, -np.logaddexp(0, logit), ORANGE)
    chart.line(logit, np.zeros_like(logit), GREY, dashed=True)
    chart.text(-5.5, 3.9, "−log D(G(z)): steep where D rejects the image", BLUE, shift=(60, 0))
    chart.text(-5.8, -4.2, "log(1 − D(G(z))): flat where D rejects the image", ORANGE)
    chart.axes("logit of D(G(z))", "loss of G", range(-6, 7, 2), range(-6, 7, 3))
    chart.write("generator_loss.svg")

    x = np.linspace(-6, 6, 401)
    data = 0.6 * normal_density(x, -2, 0.6) + 0.4 * normal_density(x, 2, 0.6)
    grid = [(m, s) for m in np.linspace(-3, 3, 61) for s in np.linspace(0.3, 3, 55)]

    def reverse(mean_and_deviation):
        model = normal_density(x, *mean_and_deviation)
        return np.sum(model * (np.log(model + 1e-300) - np.log(data)))

    mean = np.sum(data * x) / np.sum(data)
    deviation = np.sqrt(np.sum(data * (x - mean) ** 2) / np.sum(data))
    chart = Chart((-6, 6), (0, 0.7), "A normal distribution fitted to two modes by two divergences")
    chart.line(x, data, GREY, fill=True)
    chart.line(x, normal_density(x, mean, deviation), BLUE)
    chart.line(x, normal_density(x, *min(grid, key=reverse)), ORANGE)
    chart.text(0.5, 0.66, "data", GREY, shift=(12, 0))
    chart.text(0.5, 0.60, "smallest KL(data ‖ model)", BLUE, shift=(12, 0))
    chart.text(0.5, 0.54, "smallest KL(model ‖ data)", ORANGE, shift=(12, 0))
    chart.axes("x", "", range(-6, 7, 2))
    chart.write("divergences.svg")


def main():
    """Draws all pictures."""
    images, labels = zoo.data.tfds("mnist", "test").first(1000)
    clothes, _ = zoo.data.tfds("fashion_mnist", "test").first(1000)
    draw_equations()
    largest, means = draw_samples(images)
    draw_posterior(largest, means, labels)
    draw_discriminator(images, labels)
    draw_anomalies(images, clothes)


if __name__ == "__main__":
    main()

"""Colour quantisation: an image in few colours, each the mean of the pixels it stands for.

    python colour_quantisation.py [IMAGE]

IMAGE is anything that Pillow reads, or a .npy of (rows, columns, 3) uint8. Without it: a
photograph of scikit-learn's where that is installed, else one that NumPy paints.
"""

# %% The image: rows x columns x 3 bytes
import sys
import time
from importlib.util import find_spec

import numpy as np

import warpmeans


def painted(rows=480, columns=640):
    """A sky, a sun, hills and some grain."""
    y, x = np.mgrid[0:rows, 0:columns] / rows
    image = np.stack([0.35 + 0.5 * y, 0.55 + 0.25 * y, 0.95 - 0.3 * y], axis=-1)
    glow = np.exp(-(((x - 0.9) ** 2 + (y - 0.3) ** 2) / 0.05))[..., None]
    image = image + glow * (np.array([1.0, 0.8, 0.3]) - image)
    for i, green in enumerate((0.5, 0.4, 0.28)):
        hill = 0.55 + 0.15 * i + 0.06 * np.sin(x * (4 + 3 * i) + 2 * i)
        image[y > hill] = (0.3 * green, green, 0.35 * green)
    grain = np.random.default_rng(0).normal(0, 0.02, image.shape)
    return np.rint(255 * np.clip(image + grain, 0, 1)).astype(np.uint8)


if len(sys.argv) > 1 and sys.argv[1].endswith(".npy"):
    image = np.load(sys.argv[1])
elif len(sys.argv) > 1:
    from PIL import Image

    image = np.asarray(Image.open(sys.argv[1]).convert("RGB"))
elif find_spec("sklearn") and find_spec("PIL"):
    from sklearn.datasets import load_sample_image

    image = load_sample_image("china.jpg")
else:
    image = painted()
print(f"{image.shape[1]} x {image.shape[0]} pixels")

# %% Each pixel is a point of three bytes, clustered as it is: no conversion, no copy
pixels = image.reshape(-1, 3)
shown = {"original": image}
for k in (4, 16, 64):
    start = time.perf_counter()
    result = warpmeans.kmeans(pixels, k, seed=0)
    seconds = time.perf_counter() - start
    palette = np.rint(result.centroids).astype(np.uint8)
    shown[f"{k} colours"] = palette[result.labels].reshape(image.shape)
    error = result.inertia / pixels.size  # the mean squared error of a channel
    bits = np.log2(k)
    print(
        f"{k:3} colours: {seconds:.2f} s, {result.n_iter} iterations, "
        f"PSNR {10 * np.log10(255**2 / error):.1f} dB, {bits:.0f} bits a pixel instead of 24"
    )

# %% The most used of the 64 colours
order = np.argsort(-result.counts)[:5]
for cluster in order:
    red, green, blue = palette[cluster]
    share = result.counts[cluster] / len(pixels)
    print(f"#{red:02x}{green:02x}{blue:02x} {share:6.1%}")

# %% Side by side
if find_spec("matplotlib"):
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for ax, (title, picture) in zip(axes.flat, shown.items()):
        ax.imshow(picture)
        ax.set_title(title)
        ax.axis("off")
    fig.savefig("colour_quantisation.png", dpi=80)
    print("wrote colour_quantisation.png")

"""Draws the quickstart's picture: picture.py IMAGES FOLDER

FOLDER holds k10.safetensors, k10-labels.npy and k1000.safetensors. Above: each of the ten centroids,
large, and members of its cluster. Below: 100 of the 1,000 centroids.
"""
import gzip
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 28
SCALE = 3
LARGE = SIDE * SCALE  # a centroid
SMALL = LARGE // 2  # a member, in two rows beside it
GAP = 6
MEMBERS = 12
SHEET_COLUMNS = 20
SHEET = 100


def read_idx(path):
    with gzip.open(path) as file:
        _, n, rows, columns = struct.unpack(">4i", file.read(16))
        return np.frombuffer(file.read(), np.uint8).reshape(n, rows, columns)


def read_centroids(path):
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    entry = json.loads(data[8 : 8 + length])["centroids"]
    begin, end = entry["data_offsets"]
    raw = data[8 + length + begin : 8 + length + end]
    return np.frombuffer(raw, "<f4").reshape(-1, SIDE, SIDE)


def tile(image, side):
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return Image.fromarray(255 - pixels).resize((side, side), Image.NEAREST if side % SIDE == 0
                                                else Image.BOX)


def draw_clusters(canvas, left, top, centroid, members):
    canvas.paste(tile(centroid, LARGE), (left, top))
    for i, member in enumerate(members):
        column, row = i % (MEMBERS // 2), i // (MEMBERS // 2)
        canvas.paste(tile(member, SMALL), (left + LARGE + GAP + column * SMALL, top + row * SMALL))


def main(images_path, folder):
    folder = Path(folder)
    images = read_idx(images_path)
    centroids = read_centroids(folder / "k10.safetensors")
    many = read_centroids(folder / "k1000.safetensors")
    labels = np.load(folder / "k10-labels.npy")

    cell = LARGE + GAP + MEMBERS // 2 * SMALL + 4 * GAP
    cells_high = (len(centroids) + 1) // 2
    sheet_tile = (2 * cell - 2 * GAP) // SHEET_COLUMNS
    clusters_height = cells_high * (LARGE + 2 * GAP)
    height = 4 * GAP + clusters_height + -(-SHEET // SHEET_COLUMNS) * sheet_tile
    canvas = Image.new("L", (2 * cell + 2 * GAP, height), 255)
    for j, centroid in enumerate(centroids):
        rows = np.flatnonzero(labels == j)
        spread = rows[np.linspace(0, len(rows) - 1, min(MEMBERS, len(rows))).astype(int)]
        draw_clusters(canvas, 2 * GAP + j % 2 * cell, GAP + j // 2 * (LARGE + 2 * GAP), centroid,
                      images[spread])
    top = 3 * GAP + clusters_height
    for i, centroid in enumerate(many[:: max(1, len(many) // SHEET)][:SHEET]):
        canvas.paste(tile(centroid, sheet_tile),
                     (2 * GAP + i % SHEET_COLUMNS * sheet_tile, top + i // SHEET_COLUMNS * sheet_tile))
    path = folder / "fashion-mnist.png"
    aside = folder / "fashion-mnist.png.part"
    canvas.save(aside, "PNG")
    os.replace(aside, path)
    print(f"{path}: the ten centroids beside members of their clusters, and {SHEET} of the "
          f"{len(many)} centroids")


if __name__ == "__main__":
    main(*sys.argv[1:])

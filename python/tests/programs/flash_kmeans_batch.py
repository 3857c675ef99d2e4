"""Batches of torch tensors, as flash-kmeans clusters them; on a GPU where there is one."""

import json
import sys

import torch
from flash_kmeans import FlashKMeans, batch_kmeans_Cosine, batch_kmeans_Dot, batch_kmeans_Euclid
from flash_kmeans.kmeans_large import kmeans_largeN, kmeans_largeN_assign

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
x = torch.randn(4, 1500, 32, device=device, dtype=torch.float16)

cluster_ids, centers, n_iters = batch_kmeans_Euclid(x, n_clusters=20, tol=1e-4, verbose=False)
cosine_ids, cosine_centers, _ = batch_kmeans_Cosine(x, 20, max_iters=10)
dot_ids, dot_centers, _ = batch_kmeans_Dot(x, 20, max_iters=10)

model = FlashKMeans(d=32, k=20, niter=10, seed=1)
labels = model.fit_predict(x)

big_ids, big_centers = kmeans_largeN(x[0].cpu(), 20, max_iters=5, BLOCK_N=512)
assigned = kmeans_largeN_assign(x[0].cpu(), big_centers)

with open(sys.argv[1], "w") as file:
    json.dump(
        {
            "ids": [list(cluster_ids.shape), str(cluster_ids.dtype)],
            "centers": [list(centers.shape), str(centers.dtype)],
            "n_iters": n_iters,
            "nearest": float(
                (torch.cdist(x.float(), centers.float()).argmin(-1) == cluster_ids).float().mean()
            ),
            "unit": float((cosine_centers.float().norm(dim=-1) - 1).abs().max()),
            "dot": [list(dot_ids.shape), float((dot_centers.float().norm(dim=-1) - 1).abs().max())],
            "cosine": str(cosine_ids.device.type),
            "predicted": float((model.predict(x) == labels).float().mean()),
            "large": [list(big_ids.shape), float((assigned == big_ids).float().mean())],
        },
        file,
    )

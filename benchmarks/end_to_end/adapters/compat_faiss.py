"""warpmeans.compat.faiss, called as faiss is."""

from warpmeans.compat import faiss

from adapters.faiss_cpu import Adapter as Faiss


class Adapter(Faiss):
    name = "warpmeans.compat.faiss"
    package = "warpmeans"
    module = faiss

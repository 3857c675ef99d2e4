"""KMeans in a pipeline of scikit-learn, beside another of its estimators; prints two scores."""

from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.datasets import load_digits
from sklearn.metrics import v_measure_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data, digits = load_digits(return_X_y=True)
kmeans = KMeans(init="k-means++", n_clusters=10, n_init=4, random_state=0)
model = make_pipeline(StandardScaler(), kmeans).fit(data)
print(type(kmeans).__module__, v_measure_score(digits, model[-1].labels_))
print(MiniBatchKMeans.__module__)

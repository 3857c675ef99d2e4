// Four points, two clusters, one error: what a user of the installed library needs to link.
#include <cstdio>
#include <vector>

#include <warpmeans/kmeans.h>
#include <warpmeans/steps.h>

int main() {
  const std::vector<float> points{0, 0, 0, 1, 10, 10, 10, 11};
  const auto view = warpmeans::MatrixView::dense(points.data(), warpmeans::DType::float32, 4, 2);
  warpmeans::KMeansOptions options;
  options.n_clusters = 2;
  const auto result = warpmeans::fit(view, options);
  std::printf("inertia %g\n", result.inertia[0]);
  if (result.inertia[0] != 1 || result.labels[0] == result.labels[2]) return 1;
  options.n_clusters = 9;
  try {
    warpmeans::fit(view, options);
  } catch (const warpmeans::Error& error) {
    std::printf("%s\n", error.what());
    return error.code() == warpmeans::ErrorCode::invalid_argument ? 0 : 1;
  }
  return 1;
}

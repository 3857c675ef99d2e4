// Words of the command line to the library's values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <warpmeans/types.h>

namespace warpmeans::cli {

/// Each throws Error (invalid_argument) that lists what is expected.
Metric parse_metric(const std::string& word);
EmptyClusters parse_empty_clusters(const std::string& word);
Precision parse_precision(const std::string& word);
Device parse_device(const std::string& word);
/// Any word that is no method is a file: Init::given.
Init parse_init(const std::string& word);

}  // namespace warpmeans::cli

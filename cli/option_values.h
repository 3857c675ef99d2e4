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
/// A whole number in [least, 2^63), or an error that names the option.
std::int64_t parse_whole_number(const std::string& option, const std::string& word,
                                std::int64_t least);
/// "1500000", "64K", "300M", "1G", "2T": bytes, in powers of 1024; at least 1.
std::int64_t parse_bytes(const std::string& option, const std::string& word);

}  // namespace warpmeans::cli

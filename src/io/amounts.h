// Amounts as people write them: the words that the command line and Python share.
#pragma once

#include <cstdint>
#include <string>

namespace warpmeans::io {

/// A whole number in [least, 2^63), or an Error (invalid_argument) that names the option.
std::int64_t parse_whole_number(const std::string& option, const std::string& word,
                                std::int64_t least);
/// "1500000", "64K", "300M", "1G", "2T": bytes, in powers of 1024; at least 1.
std::int64_t parse_bytes(const std::string& option, const std::string& word);

}  // namespace warpmeans::io

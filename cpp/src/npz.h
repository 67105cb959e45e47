// Arrays of numpy in a zip file, stored or deflated.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace phonemo {

struct NpzFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Array {
  std::string type;  // as numpy writes it: "<f4", "<f8", "<i8", "|u1" ...
  std::vector<std::size_t> shape;
  std::vector<double> values;  // in C order
};

// Read all arrays; NpzFault for anything else, or more than `most_bytes` when unpacked.
std::map<std::string, Array> read_npz(std::string_view content, std::size_t most_bytes);

// Unpack deflated data of a known size (RFC 1951); NpzFault where it is corrupt.
std::string inflate(std::string_view packed, std::size_t size);

}  // namespace phonemo

// SHA-256, with the processor's instructions for it where it has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace phonemo {

class Sha256 {
 public:
  Sha256();
  void add(const void* data, std::size_t size);
  void add(std::string_view text) { add(text.data(), text.size()); }
  // The digest in hexadecimal; nothing may be added afterwards.
  std::string hexadecimal();

 private:
  std::uint32_t state_[8];
  std::uint64_t size_ = 0;
  unsigned char rest_[64];
};

std::string sha256_of(std::string_view content);

}  // namespace phonemo

// Regular files, and nothing else: no folder, pipe, device or socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace phonemo {

// What keeps a file from being opened.
enum class FileFault { none, missing, folder, special, too_large };

// An open regular file.
class File {
 public:
  File() = default;
  File(File&& other) noexcept : descriptor_(other.descriptor_), size_(other.size_) {
    other.descriptor_ = -1;
  }
  File& operator=(File&& other) noexcept;
  ~File();

  // Open a path; `reason` is the system's text where it is missing.
  FileFault open(const std::string& path, std::string& reason);
  std::uint64_t size() const { return size_; }
  // Read from an offset; fewer bytes only at the end, or after an error of the disk.
  std::size_t read_at(std::uint64_t offset, void* target, std::size_t count) const;

 private:
  void close();
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace phonemo

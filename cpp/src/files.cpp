#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace phonemo {
namespace {

std::string lowered(std::string text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return text;
}

FileFault fault_of(const struct stat& status) {
  if (S_ISREG(status.st_mode)) return FileFault::none;
  return S_ISDIR(status.st_mode) ? FileFault::folder : FileFault::special;
}

}  // namespace

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    size_ = other.size_;
  }
  return *this;
}

File::~File() { close(); }

void File::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

FileFault File::open(const std::string& path, std::string& reason) {
  close();
  struct stat status {};
  const auto missing = [&] {
    reason = lowered(std::strerror(errno));
    return FileFault::missing;
  };
  if (path.find('\0') != std::string::npos) return reason = "embedded null byte", FileFault::missing;
  // before opening, since opening a device may trigger it, and again afterwards
  if (::stat(path.c_str(), &status) != 0) return missing();
  if (const FileFault fault = fault_of(status); fault != FileFault::none) return fault;
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) return missing();
  size_ = static_cast<std::uint64_t>(status.st_size);
  return fault_of(status);
}

std::size_t File::read_at(std::uint64_t offset, void* target, std::size_t count) const {
  if (offset >= size_) return 0;
  auto* bytes = static_cast<char*>(target);
  std::size_t done = 0;
  while (done < count) {
    const auto place = static_cast<off_t>(offset + done);
    const ssize_t more = ::pread(descriptor_, bytes + done, count - done, place);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) break;
    done += static_cast<std::size_t>(more);
  }
  return done;
}

}  // namespace phonemo

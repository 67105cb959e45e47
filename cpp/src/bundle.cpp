#include "bundle.h"

#include <sys/stat.h>

#include <climits>
#include <cstdlib>

#include "../phonemo.h"
#include "files.h"
#include "sha256.h"

namespace phonemo {
namespace {

constexpr std::uint64_t kMostCardBytes = 1U << 22, kMostModelBytes = 1ULL << 31;
constexpr std::uint64_t kMostAdaptationBytes = 1U << 26, kMostDecoderBytes = 1U << 26;

[[noreturn]] void fail_bundle(const std::string& message) { throw Error("CheckpointError", message); }

std::string read_file(const std::string& path, std::uint64_t most_bytes) {
  File file;
  std::string reason;
  const FileFault fault = file.open(path, reason);
  if (fault == FileFault::special || fault == FileFault::folder) {
    fail_bundle(path + ": expected a regular file; copy the folder again");
  }
  if (fault == FileFault::missing) {
    fail_bundle(path + ": cannot be read (" + reason +
         "); copy the whole folder: bundle.json, model.onnx and, where the card names them, head.onnx, "
         "adaptation.npz and phonemes.npz");
  }
  if (file.size() > most_bytes) {
    fail_bundle(path + ": expected at most " + std::to_string(most_bytes) + " bytes, got " +
         std::to_string(file.size()) + "; copy the whole folder again");
  }
  std::string content(static_cast<std::size_t>(file.size()), '\0');
  content.resize(file.read_at(0, content.data(), content.size()));
  return content;
}

std::string read_verified(const std::string& path, const std::string& expected, std::uint64_t most_bytes) {
  std::string content = read_file(path, most_bytes);
  const std::string digest = sha256_of(content);
  if (digest != expected) {
    fail_bundle(path + ": expected SHA-256 " + expected.substr(0, 12) + "... (bundle.json), got " +
         digest.substr(0, 12) + "...; copy the whole folder again");
  }
  return content;
}

bool is_link(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

bool is_kind(const std::string& path, mode_t kind) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && (status.st_mode & S_IFMT) == kind;
}

// The folder that holds a bundle, as an absolute path without dots or a link at its end.
std::string parent_of(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const std::size_t slash = folder.rfind('/');
  const std::string name = slash == folder.npos ? folder : folder.substr(slash + 1);
  if (name == "." || name == "..") return folder + "/..";
  return slash == folder.npos ? "." : folder.substr(0, slash + 1);
}

// Where the network is: in the bundle's own folder, or in the bundle that it shares one with.
std::string place_of_model(const std::string& folder, const std::string& network) {
  const std::string own = folder + "/model.onnx";
  struct stat status {};
  if (network.empty() || stat(own.c_str(), &status) == 0) return own;
  const std::string other = parent_of(folder) + "/" + network, path = other + "/model.onnx";
  const std::string expected = folder + ": expected the network in " + path + ", got ";
  if (is_link(other) || is_link(path)) {
    fail_bundle(expected + "a link; copy the bundle " + network + " itself beside this one");
  }
  if (!is_kind(path, S_IFREG)) fail_bundle(expected + "no such file; copy the bundle " + network + " beside this one");
  return path;
}

}  // namespace

Bundle open_bundle(const std::string& folder) {
  if (!is_kind(folder, S_IFDIR)) fail_bundle(folder + ": no such bundle folder; phonemo export writes one");
  Bundle bundle;
  bundle.folder = folder;
  const std::string place = folder + "/";
  const std::string path = place + "bundle.json";
  bundle.card = parse_card(read_file(path, kMostCardBytes), path);
  const Card& card = bundle.card;
  if (!card.head_sha256.empty()) {
    bundle.head = read_verified(place + "head.onnx", card.head_sha256, kMostModelBytes);
  }
  if (!card.adaptation_sha256.empty()) {
    bundle.adaptation = read_verified(place + "adaptation.npz", card.adaptation_sha256, kMostAdaptationBytes);
  }
  if (!card.decoder_sha256.empty()) {
    bundle.decoder = read_verified(place + "phonemes.npz", card.decoder_sha256, kMostDecoderBytes);
  }
  bundle.model = read_verified(place_of_model(folder, card.network), card.sha256, kMostModelBytes);
  return bundle;
}

}  // namespace phonemo

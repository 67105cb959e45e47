// A bundle's networks: waveforms to logits, and the head that repeats pooling without some frames.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "alignment.h"
#include "attribution.h"
#include "bundle.h"
#include "session.h"
#include "statistics.h"

namespace phonemo {

// The network's output for one clip.
struct Logits {
  Row emotions;
  Posteriors posteriors;         // (frame, phoneme); empty without a phoneme head
  std::vector<float> features;   // (frame, feature), the input of pooling, on request
  std::vector<float> vector;     // the emotion head's input before a profile's map; may be empty
  Row dimensions;                // of a trained head; may be empty
};

class Network {
 public:
  // Open the networks of a bundle; CheckpointError where they do not match its card.
  Network(Bundle bundle, const Library& library, int threads, bool is_optimized = true);

  // Process one clip; `features` adds them.
  Logits recognize(std::vector<float> samples, const Affine* mapped, bool with_features) const;
  // Add each phoneme's contribution to the winning score; ModelError without head.onnx.
  void add_shares(std::vector<Span>& spans, const Logits& logits, const Affine* mapped) const;

  const Card& card() const { return card_; }
  const std::string& folder() const { return folder_; }
  const std::optional<Reference>& reference() const { return reference_; }

 private:
  void check_names() const;
  void check_sizes() const;
  [[noreturn]] void fail(const std::string& fault) const;
  std::size_t width() const;
  void add_map(std::vector<Feed>& feeds, std::vector<float>& scale, std::vector<float>& shift,
               const Affine* mapped) const;
  const Session& head() const;
  std::vector<Row> decide(const Masks& kept, const Logits& logits, const Affine* mapped) const;

  Card card_;
  std::string folder_;
  const Library& library_;
  int threads_;
  std::optional<Reference> reference_;
  std::unique_ptr<Session> session_;
  // opened when shares are first requested
  std::string head_content_;
  mutable std::once_flag head_once_;
  mutable std::unique_ptr<Session> head_;
};

}  // namespace phonemo

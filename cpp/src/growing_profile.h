// A stream's own windows adapt the recognizer for the windows that follow.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "profile.h"
#include "recognition.h"

namespace phonemo {

class GrowingProfile {
 public:
  // ModelError for a model that takes no profile.
  explicit GrowingProfile(std::shared_ptr<const Recognizer::State> state);

  // The recognizer with the profile so far.
  const Recognizer::State& current() const { return *current_; }
  // Add a recognized window's vector and seconds of speech.
  void add(const std::vector<float>& vector, double seconds);
  // The profile of all windows so far; nothing before the first.
  std::optional<Profile> profile() const;

 private:
  std::shared_ptr<const Recognizer::State> first_, current_;
  std::deque<Row> pool_;
  double seconds_ = 0;
  std::size_t new_vectors_ = 0;
};

}  // namespace phonemo

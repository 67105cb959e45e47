// Windowed inference: samples in pieces, segments as soon as they are decided.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "activity.h"
#include "growing_profile.h"
#include "recognition.h"
#include "timeline.h"
#include "windows.h"

namespace phonemo {

class SlidingInference {
 public:
  // With `growing`, each window updates the profile of the next ones.
  SlidingInference(std::shared_ptr<const Recognizer::State> state, bool shares, GrowingProfile* growing = nullptr);

  std::vector<Event> push(const float* samples, std::size_t count);
  // Process the end; nothing may be pushed afterwards.
  std::vector<Event> finish();
  // The prediction for the whole, after `finish`, without its doubt.
  Prediction prediction(const std::vector<std::string>& warnings) const;

 private:
  void process(const Window& window, bool is_last, std::vector<Event>& events);
  void accumulate(const Window& window, const ClipScores& clip, double seconds, bool is_last);
  void add_segments(const std::vector<Segment>& closed, std::vector<Event>& events) const;
  Event window_event(const Window& window, const ClipScores& clip) const;
  const Recognizer::State& current() const;

  std::shared_ptr<const Recognizer::State> state_;
  bool shares_;
  GrowingProfile* growing_;
  std::optional<ProfileMark> profile_;
  SlidingWindows windows_;
  std::unique_ptr<ActivityTrack> track_;
  Timeline timeline_;
  Row total_;
  double weight_ = 0;
  std::optional<Window> last_;
  std::optional<std::vector<Span>> spans_;
};

}  // namespace phonemo

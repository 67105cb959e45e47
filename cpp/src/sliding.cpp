#include "sliding.h"

#include <limits>

#include "audio_source.h"
#include "doubt.h"

namespace phonemo {

SlidingInference::SlidingInference(std::shared_ptr<const Recognizer::State> state, bool shares, GrowingProfile* growing)
    : state_(std::move(state)),
      shares_(shares),
      growing_(growing),
      profile_(state_->applied),
      track_(std::make_unique<ActivityTrack>()),
      timeline_(
          state_->card().labels, windows_.hop(),
          [track = track_.get()](std::size_t start, std::size_t end) { return track->extent(start, end); },
          state_->dimensions),
      spans_(std::vector<Span>{}) {}

std::vector<Event> SlidingInference::push(const float* samples, std::size_t count) {
  track_->push(samples, count);
  std::vector<Event> events;
  for (const Window& window : windows_.push(samples, count)) process(window, false, events);
  return events;
}

std::vector<Event> SlidingInference::finish() {
  std::vector<Event> events;
  for (const Window& window : windows_.finish()) process(window, true, events);
  add_segments(timeline_.finish(windows_.samples()), events);
  return events;
}

Prediction SlidingInference::prediction(const std::vector<std::string>& warnings) const {
  const bool no_speech = weight_ == 0;
  Row mean = total_;
  for (double& score : mean) score /= weight_;
  if (no_speech) {
    if (!last_) throw Error("empty_audio", "expected audio, got no samples");
    mean = current().recognize(last_->samples, shares_).row;
  }
  const std::size_t samples = windows_.samples();
  const Segment whole = segment_of(0, samples, state_->card().labels, mean, state_->dimensions);
  Prediction found;
  found.label = whole.label;
  found.scores = whole.scores;
  found.seconds = static_cast<double>(samples) / kRate;
  found.spans = spans_;
  found.warnings = warnings;
  found.warnings.emplace_back("windowed");
  if (no_speech) found.warnings.emplace_back("no_speech");
  found.segments = timeline_.segments();
  found.speech_ratio = track_->share(0, samples);
  found.profile = profile_;
  found.dimensions = whole.dimensions;
  return found;
}

const Recognizer::State& SlidingInference::current() const {
  return growing_ == nullptr ? *state_ : growing_->current();
}

void SlidingInference::process(const Window& window, bool is_last, std::vector<Event>& events) {
  const double seconds = track_->seconds(window.start, window.end());
  std::optional<WindowScore> score;
  last_ = window;
  if (seconds >= kLeastSpeechSeconds) {
    const ClipScores clip = current().recognize(window.samples, shares_);
    score = WindowScore{clip.row, seconds};
    accumulate(window, clip, seconds, is_last);
    if (growing_ != nullptr) profile_ = growing_->current().applied;
    events.push_back(window_event(window, clip));
    // every second window, as they overlap by half
    if (growing_ != nullptr && window.start % (2 * windows_.hop()) == 0) growing_->add(clip.vector, seconds);
  }
  add_segments(timeline_.add(score), events);
}

void SlidingInference::add_segments(const std::vector<Segment>& closed, std::vector<Event>& events) const {
  for (const Segment& segment : closed) {
    Event event{"segment", segment, std::nullopt, profile_};
    mark_segment(event.segment, state_->threshold);
    events.push_back(std::move(event));
  }
}

Event SlidingInference::window_event(const Window& window, const ClipScores& clip) const {
  Event event{"window", segment_of(window.start, window.end(), state_->card().labels, clip.row, state_->dimensions),
              track_->share(window.start, window.end()), profile_};
  mark_segment(event.segment, state_->threshold);
  return event;
}

// Phonemes are those of a window's middle half, which has the most context around it; the first and
// the last window also keep those towards the recording's ends.
void SlidingInference::accumulate(const Window& window, const ClipScores& clip, double seconds, bool is_last) {
  total_.resize(clip.row.size());
  for (std::size_t at = 0; at < total_.size(); ++at) total_[at] += clip.row[at] * seconds;
  weight_ += seconds;
  if (!clip.spans || !spans_) {
    spans_.reset();
    return;
  }
  const double begin = static_cast<double>(window.start) / kRate;
  const double quarter = static_cast<double>(windows_.hop()) / kRate / 2;
  const double first = window.start == 0 ? 0 : begin + quarter;
  const double stop = is_last ? std::numeric_limits<double>::infinity() : begin + 3 * quarter;
  for (Span span : *clip.spans) {
    span.start += begin;
    span.end += begin;
    const double middle = (span.start + span.end) / 2;
    if (middle >= first && middle < stop) spans_->push_back(std::move(span));
  }
}

}  // namespace phonemo

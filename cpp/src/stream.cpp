#include <cmath>

#include "../phonemo.h"
#include "doubt.h"
#include "sliding.h"

namespace phonemo {
namespace {

std::shared_ptr<const Recognizer::State> checked(std::shared_ptr<const Recognizer::State> state, int rate) {
  check_rate("stream", rate);
  return state;
}

}  // namespace

struct Stream::State {
  std::shared_ptr<const Recognizer::State> recognizer;
  bool shares;
  std::unique_ptr<GrowingProfile> growing;
  SlidingInference inference;
  std::optional<std::vector<float>> kept;  // for the pass over the whole
  std::optional<Resampler> resampler;
  LevelMeter level;
  bool is_ended = false;

  State(std::shared_ptr<const Recognizer::State> state, int rate, const StreamOptions& options)
      : recognizer(checked(std::move(state), rate)),
        shares(options.shares),
        growing(options.adapt ? std::make_unique<GrowingProfile>(recognizer) : nullptr),
        inference(recognizer, options.shares, growing.get()) {
    if (!options.adapt) kept.emplace();
    if (rate != kRate) resampler.emplace(rate);
  }

  std::vector<Event> push(const std::vector<float>& samples) {
    level.add_mono(samples.data(), samples.size());
    if (kept) {
      kept->insert(kept->end(), samples.begin(), samples.end());
      if (!recognizer->fits_one_pass(kept->size())) kept.reset();
    }
    return inference.push(samples.data(), samples.size());
  }

  void check_open() const {
    if (is_ended) throw Error("UsageError", "the stream was finished; create a new one");
  }
};

Stream::Stream(const Recognizer& recognizer, int rate, const StreamOptions& options)
    : state_(std::make_unique<State>(recognizer.state_, rate, options)) {}
Stream::~Stream() = default;
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;

std::vector<Event> Stream::push(const float* samples, std::size_t count) {
  state_->check_open();
  for (std::size_t at = 0; at < count; ++at) {
    if (std::fabs(samples[at]) <= kMostLevel) continue;
    throw Error("invalid_audio",
                "stream: expected finite samples with a full scale of 1, got NaN, infinite or far larger ones; leave "
                "them out");
  }
  state_->level.add_raw(samples, count, 1);
  std::vector<float> mono(samples, samples + count);
  if (state_->resampler) mono = state_->resampler->push(samples, count);
  return state_->push(mono);
}

std::pair<std::vector<Event>, Prediction> Stream::finish() {
  state_->check_open();
  std::vector<Event> events;
  if (state_->resampler) events = state_->push(state_->resampler->finish());
  state_->is_ended = true;
  for (Event& event : state_->inference.finish()) events.push_back(std::move(event));
  const std::vector<std::string> warnings = state_->level.warnings(false);
  const Prediction windowed = state_->inference.prediction(warnings);
  const Recognizer::State& recognizer = *state_->recognizer;
  if (!state_->kept) return {std::move(events), with_doubt(windowed, recognizer.threshold)};
  return {std::move(events),
          recognizer.clip_prediction(*state_->kept, warnings, state_->shares, false, windowed.segments)};
}

std::string Stream::profile() const {
  if (!state_->growing) throw Error("UsageError", "the stream has no profile; open it with adapt");
  const auto profile = state_->growing->profile();
  return profile ? profile->text() : "";
}

}  // namespace phonemo

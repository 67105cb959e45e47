#include <cmath>

#include "../phonemo.h"
#include "activity.h"
#include "doubt.h"
#include "profile.h"
#include "recognition.h"
#include "sliding.h"
#include "text.h"
#include "wav.h"

#ifndef PHONEMO_VERSION
#define PHONEMO_VERSION "0"
#endif

namespace phonemo {
namespace {

// The decoder with the bundle's own language model; a network without phonemes uses none.
PhonemeDecoder decoder_of(const std::string& packed, const Network& network) {
  const Card& card = network.card();
  if (card.decoder_sha256.empty() || card.symbols.empty()) return PhonemeDecoder();
  try {
    return PhonemeDecoder(std::make_shared<PhonemeModel>(unpacked_model(packed, card.symbols.size())));
  } catch (const Error& error) {
    throw Error(error.code(), network.folder() + ": " + error.what());
  }
}

}  // namespace

const char* version() { return PHONEMO_VERSION; }

Recognizer Recognizer::load(const std::string& folder, const LoadOptions& options) {
  if (options.threads < 0) {
    throw Error("UsageError", "expected 1 or more threads, got threads=" + std::to_string(options.threads));
  }
  if (options.threshold && !(*options.threshold >= 0 && *options.threshold <= 1)) {
    throw Error("UsageError", "expected a threshold from 0 to 1, got " + short_number(*options.threshold));
  }
  Bundle bundle = open_bundle(folder);
  const DimensionReader dimensions(bundle.card.labels, bundle.card.dimensions);
  const double threshold = options.threshold.value_or(bundle.card.abstain_below);
  const std::string packed = std::move(bundle.decoder);
  auto network = std::make_shared<Network>(std::move(bundle), Library::get(options.onnxruntime), options.threads,
                                           !options.fast_start);
  return Recognizer(std::make_shared<State>(State{network, dimensions, threshold, decoder_of(packed, *network), {}, {}, {}}));
}

Prediction Recognizer::predict_file(const std::string& path, const PredictOptions& options) const {
  if (options.channel < 0 || options.channel > kMostChannels) {
    throw Error("UsageError", "channels: expected mix or a number from 1 to " + std::to_string(kMostChannels) +
                                  ", got " + std::to_string(options.channel));
  }
  WaveformReader reader(WavSource::open(path), options.channel);
  Prediction found = state_->predict(reader, options);
  found.channel = options.channel;
  for (Segment& segment : found.segments) segment.channel = options.channel;
  return found;
}

Prediction Recognizer::predict(const float* samples, std::size_t count, int rate, const PredictOptions& options) const {
  WaveformReader reader(std::make_unique<ArraySource>(samples, count, rate));
  return state_->predict(reader, options);
}

Recognizer Recognizer::with_profile(const std::string& path) const {
  state_->adaptable();
  return with_profile_text(Profile::load(path).text());
}

Recognizer Recognizer::with_profile_text(const std::string& json) const {
  const Reference& reference = state_->adaptable();
  const Profile profile = Profile::parse(json, "profile");
  profile.check(reference);
  return Recognizer(state_->with_statistics(shrink_towards(profile.statistics(), reference), profile.mark()));
}

Recognizer Recognizer::with_decoding(const std::string& decoding) const {
  auto other = std::make_shared<State>(*state_);
  other->decoder = state_->decoder.chosen(decoding, state_->card().symbols);
  return Recognizer(std::move(other));
}

const std::vector<std::string>& Recognizer::labels() const { return state_->card().labels; }

const std::vector<std::string>& Recognizer::symbols() const { return state_->card().symbols; }

std::string Recognizer::onnxruntime_version() const { return Library::get("").version(); }

const Reference& Recognizer::State::adaptable() const {
  if (network->reference()) return *network->reference();
  throw Error("ModelError",
              "this model takes no profile: it has no statistics of its training sources; train it with head: linear "
              "and strategy: logistic, and export it again");
}

std::shared_ptr<const Recognizer::State> Recognizer::State::with_statistics(
    const std::optional<Statistics>& shrunk, const std::optional<ProfileMark>& mark) const {
  auto adapted = std::make_shared<State>(*this);
  adapted->applied = mark;
  adapted->source = shrunk;
  adapted->affine.reset();
  if (shrunk) adapted->affine = affine_of(*shrunk, adaptable());
  return adapted;
}

ClipScores Recognizer::State::recognize(const std::vector<float>& samples, bool shares) const {
  const Affine* mapped = affine ? &*affine : nullptr;
  Logits logits = network->recognize(samples, mapped, shares);
  ClipScores found;
  found.row = softmax(logits.emotions, card().temperature);
  if (!card().symbols.empty()) {
    const auto timed = time_phonemes(decoder.decode(logits.posteriors), logits.posteriors, card().grid,
                                     static_cast<std::int64_t>(samples.size()));
    found.spans = spans_of(timed, card().symbols);
    if (shares) network->add_shares(*found.spans, logits, mapped);
  }
  found.row.insert(found.row.end(), logits.dimensions.begin(), logits.dimensions.end());
  found.vector = std::move(logits.vector);
  return found;
}

bool Recognizer::State::fits_one_pass(std::size_t samples) const {
  return static_cast<double>(samples) <= card().window_seconds * kRate;
}

Prediction Recognizer::State::clip_prediction(const std::vector<float>& samples,
                                              const std::vector<std::string>& warnings, bool shares, bool timeline,
                                              const std::vector<Segment>& known) const {
  const ClipScores clip = recognize(samples, shares);
  const double ratio = ActivityTrack::of_clip(samples.data(), samples.size()).share(0, samples.size());
  const Segment whole = segment_of(0, samples.size(), card().labels, clip.row, dimensions);
  Prediction found;
  found.label = whole.label;
  found.scores = whole.scores;
  found.seconds = static_cast<double>(samples.size()) / kRate;
  found.spans = clip.spans;
  found.warnings = warnings;
  found.speech_ratio = ratio;
  found.profile = applied;
  found.dimensions = whole.dimensions;
  if (ratio > 0) {
    found.segments = known;
    if (timeline) {
      SlidingInference inference(std::make_shared<State>(*this), false);
      inference.push(samples.data(), samples.size());
      inference.finish();
      found.segments = with_doubt(inference.prediction({}), threshold).segments;
    }
    if (found.segments.empty()) found.segments = {whole};  // too little speech for a window
  } else {
    found.warnings.emplace_back("no_speech");
  }
  return with_doubt(std::move(found), threshold);
}

Prediction Recognizer::State::predict(WaveformReader& reader, const PredictOptions& options) const {
  std::vector<float> samples, piece;
  bool is_more = true;
  while (is_more && fits_one_pass(samples.size())) {
    is_more = reader.next(piece);
    if (is_more) samples.insert(samples.end(), piece.begin(), piece.end());
  }
  if (fits_one_pass(samples.size())) {
    return clip_prediction(samples, reader.warnings(), options.shares, options.timeline, {});
  }
  SlidingInference inference(std::make_shared<State>(*this), options.shares);
  inference.push(samples.data(), samples.size());
  samples = {};
  while (reader.next(piece)) inference.push(piece.data(), piece.size());
  inference.finish();
  Prediction found = inference.prediction({});
  const std::vector<std::string> warnings = reader.warnings();
  found.warnings.insert(found.warnings.begin(), warnings.begin(), warnings.end());
  return with_doubt(std::move(found), threshold);
}

}  // namespace phonemo

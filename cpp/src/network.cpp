#include "network.h"

#include <algorithm>
#include <cmath>

#include "levels.h"

namespace phonemo {
namespace {

constexpr const char *kLogits = "emotion_logits", *kFrames = "frames", *kPhonemes = "phoneme_logits";
constexpr const char *kFeatures = "features", *kVector = "vector", *kDimensions = "dimensions";

std::string numbered(std::int64_t count, const char* none) { return count > 0 ? std::to_string(count) : none; }

// The last axis of a named tensor: -1 where it is dynamic, 0 where there is none.
std::int64_t last_axis(const std::map<std::string, std::vector<std::int64_t>>& names, const char* name) {
  const auto found = names.find(name);
  return found == names.end() || found->second.empty() ? 0 : found->second.back();
}

std::size_t last_size(const Tensor& output) {
  return output.shape.empty() ? 0 : static_cast<std::size_t>(output.shape.back());
}

}  // namespace

Network::Network(Bundle bundle, const Library& library, int threads, bool is_optimized)
    : card_(std::move(bundle.card)), folder_(bundle.folder), library_(library), threads_(threads),
      head_content_(std::move(bundle.head)) {
  try {
    if (!bundle.adaptation.empty()) reference_ = unpacked_reference(bundle.adaptation, card_.labels.size());
    session_ = std::make_unique<Session>(library, bundle.model, threads, is_optimized);
  } catch (const Error& error) {
    throw Error(error.code(), folder_ + ": " + error.what());
  }
  check_names();
  check_sizes();
}

void Network::fail(const std::string& fault) const {
  throw Error("CheckpointError", folder_ + ": " + fault + "; export the model again");
}

// Width of the vector that a profile maps; 0 where the network takes no map.
std::size_t Network::width() const {
  const auto found = session_->inputs().find("scale");
  return found == session_->inputs().end() || found->second.empty() || found->second[0] < 0
             ? 0
             : static_cast<std::size_t>(found->second[0]);
}

void Network::check_names() const {
  const auto &inputs = session_->inputs(), &outputs = session_->outputs();
  const bool has_map = inputs.count("scale") > 0, has_vector = outputs.count(kVector) > 0;
  const bool is_paired = has_map == (inputs.count("shift") > 0) && has_map == has_vector && has_map == (width() > 0);
  const bool has_inputs = inputs.count("waveform") > 0 && inputs.count("samples") > 0 &&
                          inputs.size() == (has_map ? 4U : 2U);
  if (!has_inputs || !is_paired || outputs.count(kLogits) == 0 || outputs.count(kFrames) == 0) {
    fail("expected a network from waveform, samples to emotion_logits, frames, frame_weights, got another");
  }
}

void Network::check_sizes() const {
  const auto same = [](std::int64_t actual, std::size_t expected) {
    return actual < 0 || actual == static_cast<std::int64_t>(expected);
  };
  const std::int64_t emotions = last_axis(session_->outputs(), kLogits);
  const std::int64_t symbols = last_axis(session_->outputs(), kPhonemes);
  const bool is_shared = !card_.network.empty();
  if ((!is_shared && !same(emotions, card_.labels.size())) || !same(symbols, card_.symbols.size()) ||
      (symbols < 0 && card_.symbols.empty())) {
    fail("expected " + std::to_string(card_.labels.size()) + " labels and " +
         numbered(static_cast<std::int64_t>(card_.symbols.size()), "no") + " phonemes as in the card, got a network of " +
         std::to_string(emotions) + " and " + numbered(symbols, "no"));
  }
  const std::int64_t dimensions = last_axis(session_->outputs(), kDimensions);
  if (dimensions != static_cast<std::int64_t>(card_.dimensions.size())) {
    fail("expected " + numbered(static_cast<std::int64_t>(card_.dimensions.size()), "no") +
         " dimensions as in the card, got a network of " + numbered(dimensions, "none"));
  }
  if (reference_ && reference_->centre.size() != width()) {
    fail("a profile maps " + numbered(static_cast<std::int64_t>(width()), "no") + " features in model.onnx, " +
         std::to_string(reference_->centre.size()) + " in adaptation.npz");
  }
  if (!reference_ && is_shared) fail("a shared network needs adaptation.npz");
}

// Feed a profile's map, or the identity, where the network takes one.
void Network::add_map(std::vector<Feed>& feeds, std::vector<float>& scale, std::vector<float>& shift,
                      const Affine* mapped) const {
  const std::size_t size = width();
  if (size == 0) return;
  scale.assign(size, 1.0F);
  shift.assign(size, 0.0F);
  if (mapped != nullptr) {
    scale.assign(mapped->scale.begin(), mapped->scale.end());
    shift.assign(mapped->shift.begin(), mapped->shift.end());
  }
  const auto axis = static_cast<std::int64_t>(size);
  feeds.push_back({"scale", scale.data(), size * sizeof(float), {axis}, ort::kFloat});
  feeds.push_back({"shift", shift.data(), size * sizeof(float), {axis}, ort::kFloat});
}

Logits Network::recognize(std::vector<float> samples, const Affine* mapped, bool with_features) const {
  if (card_.normalise) boost_quiet(samples);
  auto length = static_cast<std::int64_t>(samples.size());
  samples.resize(std::max(samples.size(), static_cast<std::size_t>(card_.fewest_samples)));
  const auto padded = static_cast<std::int64_t>(samples.size());
  std::vector<Feed> feeds = {
      {"waveform", samples.data(), samples.size() * sizeof(float), {1, padded}, ort::kFloat},
      {"samples", &length, sizeof length, {1}, ort::kInt64}};
  std::vector<float> scale, shift;
  const bool is_shared = !card_.network.empty();
  add_map(feeds, scale, shift, is_shared ? nullptr : mapped);
  std::vector<const char*> names{kLogits, kFrames};
  for (const char* name : {kPhonemes, kVector, kDimensions, kFeatures}) {
    if (session_->outputs().count(name) > 0 && (name != kFeatures || with_features)) names.push_back(name);
  }
  std::vector<Tensor> outputs = session_->run(feeds, names, std::to_string(padded) + " samples");
  if (outputs[1].wholes.size() != 1 || outputs[1].wholes[0] < 0) fail("expected a number of frames, got none");
  const auto frames = static_cast<std::size_t>(outputs[1].wholes[0]);
  Logits logits;
  logits.emotions.assign(outputs[0].floats.begin(), outputs[0].floats.end());
  for (std::size_t at = 2; at < names.size(); ++at) {
    std::vector<float>& values = outputs[at].floats;
    if (names[at] == kVector) logits.vector = values;
    if (names[at] == kDimensions) logits.dimensions.assign(values.begin(), values.end());
    if (names[at] != kPhonemes && names[at] != kFeatures) continue;
    const std::size_t size = last_size(outputs[at]);
    if (size == 0 || (names[at] == kPhonemes && size != card_.symbols.size())) {
      fail(std::string("expected ") + names[at] + " of each frame, got others");
    }
    if (values.size() / size < frames) fail("expected " + std::to_string(frames) + " frames, got fewer");
    values.resize(frames * size);
    if (names[at] == kFeatures) logits.features = std::move(values);
    if (names[at] != kPhonemes) continue;
    for (std::size_t frame = 0; frame < frames; ++frame) {
      logits.posteriors.push_back(log_softmax(values.data() + frame * size, size));
    }
  }
  // onnxruntime does not enforce the shapes that a network declares
  if (session_->outputs().count(kVector) > 0 && logits.vector.size() != width()) {
    fail("expected a vector of " + std::to_string(width()) + " features, got " + std::to_string(logits.vector.size()));
  }
  if (logits.dimensions.size() != card_.dimensions.size()) fail("expected a value of each dimension, got others");
  if (is_shared) {
    logits.emotions = reference_->logits(Row(logits.vector.begin(), logits.vector.end()), mapped);
    for (double& logit : logits.emotions) logit = static_cast<double>(static_cast<float>(logit));
  }
  if (logits.emotions.size() != card_.labels.size()) fail("expected a logit for each label, got others");
  return logits;
}

const Session& Network::head() const {
  if (head_content_.empty()) {
    throw Error("CheckpointError", folder_ + ": expected head.onnx for the phonemes' shares in the emotion; "
                                             "export the model again");
  }
  std::call_once(head_once_, [&] {
    auto opened = std::make_unique<Session>(library_, head_content_, threads_);
    const auto &inputs = opened->inputs(), &outputs = opened->outputs();
    const bool is_head = inputs.count(kFeatures) > 0 && inputs.count("kept") > 0 && outputs.count(kLogits) > 0 &&
                         inputs.size() == (width() > 0 ? 4U : 2U) && inputs.count("scale") == (width() > 0);
    if (!is_head) fail("expected a head from features, kept to emotion_logits, got another");
    head_ = std::move(opened);
  });
  return *head_;
}

std::vector<Row> Network::decide(const Masks& kept, const Logits& logits, const Affine* mapped) const {
  const auto frames = static_cast<std::int64_t>(kept[0].size()), batch = static_cast<std::int64_t>(kept.size());
  const auto features = static_cast<std::int64_t>(logits.features.size()) / frames;
  std::vector<float> input = logits.features, scale, shift;
  std::vector<char> flags;
  for (const std::vector<bool>& row : kept) flags.insert(flags.end(), row.begin(), row.end());
  std::vector<Feed> feeds = {
      {kFeatures, input.data(), input.size() * sizeof(float), {1, frames, features}, ort::kFloat},
      {"kept", flags.data(), flags.size(), {batch, frames}, ort::kBool}};
  add_map(feeds, scale, shift, mapped);
  const Tensor output = head().run(feeds, {kLogits}, std::to_string(frames) + " frames")[0];
  const std::size_t emotions = card_.labels.size();
  if (output.floats.size() != kept.size() * emotions) fail("expected a logit for each label of head.onnx, got others");
  std::vector<Row> scores;
  for (auto first = output.floats.begin(); first != output.floats.end(); first += static_cast<std::ptrdiff_t>(emotions)) {
    scores.push_back(softmax(Row(first, first + static_cast<std::ptrdiff_t>(emotions)), card_.temperature));
  }
  return scores;
}

void Network::add_shares(std::vector<Span>& spans, const Logits& logits, const Affine* mapped) const {
  head();
  const std::size_t frames = logits.posteriors.size();
  if (spans.empty() || frames == 0) return;
  const std::size_t features = logits.features.size() / frames;
  if (features == 0) fail("expected the output features for the phonemes' shares");
  const Decide by_head = [&](const Masks& kept) { return decide(kept, logits, mapped); };
  add_attribution(spans, by_head, card_.grid, frames, features);
}

}  // namespace phonemo

// A recognizer's state: the networks and what is applied to their output.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../phonemo.h"
#include "decoder.h"
#include "dimensions.h"
#include "network.h"
#include "statistics.h"
#include "waveform.h"

namespace phonemo {

// The output for one window or recording.
struct ClipScores {
  Row row;  // probabilities of the emotions, and behind them the values of a trained head
  std::optional<std::vector<Span>> spans;
  std::vector<float> vector;
};

// Immutable; copies share the networks.
struct Recognizer::State {
  std::shared_ptr<const Network> network;
  DimensionReader dimensions;
  double threshold = 0;
  PhonemeDecoder decoder;
  std::optional<ProfileMark> applied;
  std::optional<Statistics> source;  // of the applied profile, shrunk
  std::optional<Affine> affine;

  const Card& card() const { return network->card(); }
  // The model's reference; ModelError for a model that takes no profile.
  const Reference& adaptable() const;
  // A copy that applies statistics already shrunk.
  std::shared_ptr<const State> with_statistics(const std::optional<Statistics>& shrunk,
                                               const std::optional<ProfileMark>& mark) const;
  ClipScores recognize(const std::vector<float>& samples, bool shares) const;
  // Samples that are processed in one pass.
  bool fits_one_pass(std::size_t samples) const;
  // A recording processed in one pass; a timeline that is known may be given.
  Prediction clip_prediction(const std::vector<float>& samples, const std::vector<std::string>& warnings, bool shares,
                             bool timeline, const std::vector<Segment>& known) const;
  Prediction predict(WaveformReader& reader, const PredictOptions& options) const;
};

}  // namespace phonemo

// Unsupervised adaptation: statistics of a source's vectors, and the map to the training sources.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "calibration.h"

namespace phonemo {

// The vectors of one source, summarized per feature.
struct Statistics {
  double count = 0;  // infinite for the training sources
  Row mean, deviation;
};

// The map v * scale + shift of a vector.
struct Affine {
  Row scale, shift;
};

// A model's statistics of its training sources, with its linear emotion head.
struct Reference {
  Row centre, spread;
  std::vector<Row> class_means, weight;  // (emotion, feature)
  Row bias;
  double k_mean = 0, k_spread = 0, radius = 0;
  int em_iterations = 10;

  Statistics statistics() const;
  // The head's logits of a vector, perhaps under a profile's map.
  Row logits(const Row& vector, const Affine* mapped = nullptr) const;
  // SHA-256 of the vector space and the head, in float32.
  std::string digest() const;
};

// Read the reference from the content of adaptation.npz; CheckpointError where it is invalid.
Reference unpacked_reference(const std::string& content, std::size_t emotions);

constexpr std::size_t kLeastPool = 5;  // with fewer vectors class shares are not estimated

// The plain mean and deviation of a pool, (vector, feature).
Statistics moments(const std::vector<Row>& pool, const Reference& reference);

// The statistics that the source would have with equally many vectors of every class.
Statistics estimate(const std::vector<Row>& pool, const Reference& reference);

// Shrink a pool towards a wider source, by default the training sources.
Statistics shrink_towards(const Statistics& statistics, const Reference& reference,
                          const std::optional<Statistics>& towards = std::nullopt);

// The map that gives a source the training sources' mean and deviation.
Affine affine_of(const Statistics& statistics, const Reference& reference);

}  // namespace phonemo

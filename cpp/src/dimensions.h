// Arousal and valence: derived from the scores, or a trained head's values behind them in a row.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "../phonemo.h"
#include "calibration.h"

namespace phonemo {

class DimensionReader {
 public:
  // `names` of a trained head; empty: derived, or none where an emotion has no published norm.
  DimensionReader(const std::vector<std::string>& labels, std::vector<std::string> names);

  // The dimensions of a row of scores; nothing for a model without them.
  std::optional<Dimensions> read(const Row& row) const;

 private:
  std::size_t emotions_;
  std::vector<std::string> names_;
  std::vector<std::array<double, 2>> norms_;  // (emotion, dimension)
};

// A segment of a row of scores, and the label of the highest.
Segment segment_of(std::size_t start, std::size_t end, const std::vector<std::string>& labels, const Row& row,
                   const DimensionReader& dimensions);

}  // namespace phonemo

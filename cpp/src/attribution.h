// How much each phoneme adds to the winning score: that score minus the same one without the
// phoneme's frames in pooling.
#pragma once

#include <functional>
#include <vector>

#include "../phonemo.h"
#include "bundle.h"
#include "calibration.h"

namespace phonemo {

// A row per phoneme, a flag per frame.
using Masks = std::vector<std::vector<bool>>;

// Kept frames, (batch, frame), to probabilities, (batch, emotion).
using Decide = std::function<std::vector<Row>(const Masks&)>;

// The frames whose centers lie in each phoneme.
Masks frames_within(const std::vector<Span>& spans, const FrameGrid& grid, std::size_t frames);

// Add each phoneme's share; none for the only phoneme of a clip. `features` per frame determine how
// many phonemes are computed at once.
void add_attribution(std::vector<Span>& spans, const Decide& decide, const FrameGrid& grid, std::size_t frames,
                     std::size_t features);

}  // namespace phonemo

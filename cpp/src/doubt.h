// What a prediction does not know.
#pragma once

#include "../phonemo.h"

namespace phonemo {

// A copy with no label without speech, marks of what is unsure, and the warning of a timeline that
// differs from the whole.
Prediction with_doubt(Prediction prediction, double threshold);

// Mark a segment with a score below the threshold.
void mark_segment(Segment& segment, double threshold);

}  // namespace phonemo

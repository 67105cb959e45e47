// Logits to probabilities.
#pragma once

#include <cstddef>
#include <vector>

namespace phonemo {

using Row = std::vector<double>;

// Probabilities of logits divided by a temperature.
Row softmax(const Row& logits, double temperature = 1);

// Logarithms of probabilities of one row of logits.
Row log_softmax(const float* logits, std::size_t count);
Row log_softmax(const Row& logits);

// Flatten the logits of a standardized vector that is farther than `radius` from the training
// sources, which is infinite for none.
Row flattened(Row logits, const Row& standardized, double radius);

// Index of the first highest value.
std::size_t highest(const Row& values);

}  // namespace phonemo

#include "calibration.h"

#include <algorithm>
#include <cmath>

namespace phonemo {
namespace {

constexpr double kDistancePower = 4;

}  // namespace

std::size_t highest(const Row& values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

Row softmax(const Row& logits, double temperature) {
  Row shares(logits.size());
  const double most = logits[highest(logits)] / temperature;
  double total = 0;
  for (std::size_t at = 0; at < logits.size(); ++at) total += shares[at] = std::exp(logits[at] / temperature - most);
  for (double& share : shares) share /= total;
  return shares;
}

Row log_softmax(const Row& logits) {
  Row result(logits);
  const double most = logits[highest(logits)];
  double total = 0;
  for (double& value : result) total += std::exp(value -= most);
  for (double& value : result) value -= std::log(total);
  return result;
}

Row log_softmax(const float* logits, std::size_t count) {
  return log_softmax(Row(logits, logits + count));
}

Row flattened(Row logits, const Row& standardized, double radius) {
  double square = 0;
  for (const double value : standardized) square += value * value;
  square /= static_cast<double>(standardized.size());
  const double divisor = std::pow(std::max(square / (radius * radius), 1.0), kDistancePower / 2);
  for (double& logit : logits) logit /= divisor;
  return logits;
}

}  // namespace phonemo

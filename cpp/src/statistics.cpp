#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace phonemo {
namespace {

constexpr double kLeastDeviation = 0.05, kTemperature = 2.0, kPrior = 0.5;
constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// In a canonical order, so that sums do not depend on the caller's.
std::vector<Row> sorted_rows(std::vector<Row> rows) {
  std::sort(rows.begin(), rows.end(), [](const Row& one, const Row& other) {
    return std::memcmp(one.data(), other.data(), one.size() * sizeof(double)) < 0;
  });
  return rows;
}

// The share of each class in a pool.
Row class_shares(const std::vector<Row>& rows, const Reference& reference) {
  Reference unlimited = reference;
  unlimited.radius = kUnlimited;  // vectors of a distant source still separate its classes
  const std::size_t classes = reference.bias.size();
  std::vector<Row> odds;
  for (const Row& row : rows) {
    Row logits = unlimited.logits(row);
    const double most = logits[highest(logits)];
    for (double& logit : logits) logit = std::exp((logit - most) / kTemperature);
    odds.push_back(std::move(logits));
  }
  const double even = 1 / static_cast<double>(classes);
  Row shares(classes, even);
  for (int step = 0; step < reference.em_iterations; ++step) {
    Row means(classes);
    for (const Row& odd : odds) {
      double total = 0;
      for (std::size_t at = 0; at < classes; ++at) total += odd[at] * shares[at];
      for (std::size_t at = 0; at < classes; ++at) means[at] += odd[at] * shares[at] / total;
    }
    for (std::size_t at = 0; at < classes; ++at) {
      shares[at] = (means[at] / static_cast<double>(rows.size()) + kPrior * even) / (1 + kPrior);
    }
  }
  return shares;
}

// The share of a pool beside a wider source; the wider one where both weights are 0.
double pool_share(double count, double k) {
  if (std::isinf(count)) return 1;
  return count + k > 0 ? count / (count + k) : 0;
}

}  // namespace

Statistics Reference::statistics() const { return {kUnlimited, centre, spread}; }

Row Reference::logits(const Row& vector, const Affine* mapped) const {
  Row standardized(vector);
  for (std::size_t at = 0; at < standardized.size(); ++at) {
    double& value = standardized[at];
    if (mapped != nullptr) value = value * mapped->scale[at] + mapped->shift[at];
    value = (value - centre[at]) / spread[at];
  }
  Row logits(bias);
  for (std::size_t emotion = 0; emotion < logits.size(); ++emotion) {
    for (std::size_t at = 0; at < standardized.size(); ++at) logits[emotion] += standardized[at] * weight[emotion][at];
  }
  return flattened(std::move(logits), standardized, radius);
}

Statistics moments(const std::vector<Row>& pool, const Reference& reference) {
  const std::vector<Row> rows = sorted_rows(pool);
  const auto count = static_cast<double>(rows.size());
  Statistics found{count, Row(reference.centre.size()), reference.spread};
  for (const Row& row : rows) {
    for (std::size_t at = 0; at < row.size(); ++at) found.mean[at] += row[at];
  }
  for (double& mean : found.mean) mean /= count;
  if (rows.size() == 1) return found;
  for (std::size_t at = 0; at < found.mean.size(); ++at) {
    double square = 0;
    for (const Row& row : rows) square += (row[at] - found.mean[at]) * (row[at] - found.mean[at]);
    found.deviation[at] = std::max(std::sqrt(square / (count - 1)), kLeastDeviation * reference.spread[at]);
  }
  return found;
}

Statistics estimate(const std::vector<Row>& pool, const Reference& reference) {
  Statistics found = moments(pool, reference);
  if (pool.size() < kLeastPool || reference.em_iterations == 0) return found;
  const Row shares = class_shares(sorted_rows(pool), reference);
  const double even = 1 / static_cast<double>(shares.size());
  for (std::size_t at = 0; at < found.mean.size(); ++at) {
    double excess = 0;
    for (std::size_t one = 0; one < shares.size(); ++one) excess += (shares[one] - even) * reference.class_means[one][at];
    found.mean[at] -= found.deviation[at] * excess;
  }
  return found;
}

Statistics shrink_towards(const Statistics& statistics, const Reference& reference,
                          const std::optional<Statistics>& towards) {
  const Statistics wider = towards ? *towards : reference.statistics();
  const double mean = pool_share(statistics.count, reference.k_mean);
  const double spread = pool_share(std::max(0.0, statistics.count - 1), reference.k_spread);
  Statistics shrunk = statistics;
  for (std::size_t at = 0; at < shrunk.mean.size(); ++at) {
    const double own = statistics.deviation[at], other = wider.deviation[at];
    shrunk.mean[at] = mean * statistics.mean[at] + (1 - mean) * wider.mean[at];
    shrunk.deviation[at] = std::sqrt(spread * own * own + (1 - spread) * other * other);
  }
  return shrunk;
}

Affine affine_of(const Statistics& statistics, const Reference& reference) {
  Affine map{Row(statistics.mean.size()), Row(statistics.mean.size())};
  for (std::size_t at = 0; at < map.scale.size(); ++at) {
    map.scale[at] = reference.spread[at] / statistics.deviation[at];
    map.shift[at] = reference.centre[at] - statistics.mean[at] * map.scale[at];
  }
  return map;
}

}  // namespace phonemo

#include "growing_profile.h"

namespace phonemo {
namespace {

constexpr std::size_t kMostVectors = 1000;
// The profile is updated when this share of its pool is new.
constexpr double kRenewedShare = 1.0 / 16;

}  // namespace

GrowingProfile::GrowingProfile(std::shared_ptr<const Recognizer::State> state) : first_(state), current_(state) {
  first_->adaptable();
}

void GrowingProfile::add(const std::vector<float>& vector, double seconds) {
  if (vector.empty()) throw Error("ModelError", "this model outputs no vector for a profile; export it again");
  pool_.emplace_back(vector.begin(), vector.end());
  if (pool_.size() > kMostVectors) pool_.pop_front();
  seconds_ += seconds;
  ++new_vectors_;
  const bool is_due = static_cast<double>(new_vectors_) >= kRenewedShare * static_cast<double>(pool_.size());
  if (pool_.size() < kLeastPool || !is_due) return;
  const Profile profile = *this->profile();
  const Statistics shrunk = shrink_towards(profile.statistics(), first_->adaptable(), first_->source);
  current_ = first_->with_statistics(shrunk, profile.mark());
  new_vectors_ = 0;
}

std::optional<Profile> GrowingProfile::profile() const {
  if (pool_.empty()) return std::nullopt;
  const Reference& reference = first_->adaptable();
  return Profile::of(estimate({pool_.begin(), pool_.end()}, reference), seconds_, reference);
}

}  // namespace phonemo

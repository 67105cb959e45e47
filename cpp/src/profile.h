// Profiles: statistics of a source's unlabeled recordings, as a small JSON file.
#pragma once

#include <cstdint>
#include <string>

#include "../phonemo.h"
#include "statistics.h"

namespace phonemo {

struct Profile {
  std::string model;  // digest of the model's reference
  std::int64_t count = 0;
  double seconds = 0;
  Row mean, deviation;

  // The profile of a pool's statistics, which are not shrunk yet.
  static Profile of(const Statistics& statistics, double seconds, const Reference& reference);
  // Open or parse a file; UsageError with `name` where it is none.
  static Profile load(const std::string& path);
  static Profile parse(const std::string& text, const std::string& name);

  // The content of a profile file.
  std::string text() const;
  ProfileMark mark() const;
  Statistics statistics() const;
  // UsageError where it belongs to another model.
  void check(const Reference& reference) const;
};

}  // namespace phonemo

// Window scores to segments: cells of half a window, smoothed, and joined where they agree.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../phonemo.h"
#include "calibration.h"
#include "dimensions.h"

namespace phonemo {

// Scores of one window, and its seconds of speech.
struct WindowScore {
  Row scores;
  double weight;
};

// First and one past the last sample of speech between two samples.
using Extent = std::function<std::optional<std::pair<std::size_t, std::size_t>>(std::size_t, std::size_t)>;

class Timeline {
 public:
  // `hop`: samples per cell, half a window.
  Timeline(const std::vector<std::string>& labels, std::size_t hop, Extent extent, const DimensionReader& dimensions);

  // Add the next window's scores, none without speech; return the segments that closed.
  std::vector<Segment> add(std::optional<WindowScore> score);
  // Decide the remaining cells of a recording of `samples`; return the segments that closed.
  std::vector<Segment> finish(std::size_t samples);
  const std::vector<Segment>& segments() const { return segments_; }

 private:
  struct Cell {
    std::size_t start, end;
    Row scores;
    std::size_t label;

    bool is_short() const;
  };

  std::vector<Segment> decide(std::int64_t stop, std::size_t samples);
  std::optional<Cell> cell(std::int64_t number, std::size_t end) const;
  bool extends_segment(const std::optional<Cell>& cell, std::size_t end) const;
  void close(const std::optional<Cell>& following, std::vector<Segment>& closed);

  std::vector<std::string> labels_;
  std::size_t hop_;
  Extent extent_;
  DimensionReader dimensions_;
  std::map<std::int64_t, WindowScore> scores_;
  std::int64_t windows_ = 0, cells_ = 0;
  std::vector<Cell> open_;
  std::vector<Segment> segments_;
};

}  // namespace phonemo

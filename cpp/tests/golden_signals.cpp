// Recordings, levels, voice activity, windows, resampling.
#include <cmath>
#include <cstdint>
#include <limits>

#include "activity.h"
#include "checks.h"
#include "levels.h"
#include "resample.h"
#include "sha256.h"
#include "windows.h"

namespace golden {
namespace {

constexpr double kPi = 3.14159265358979323846;

double triangle(std::int64_t phase) {
  return static_cast<double>(std::llabs(phase % 65536 - 32768)) / 16384 - 1;
}

double voice(std::int64_t n, std::int64_t step, double noise) {
  constexpr double kLoudness[] = {1.0, 0.6, 0.8, 0.4, 0.7};
  const std::int64_t syllable = n / 4800, inside = n % 4800;
  const std::int64_t phase = inside * (step + syllable % 7 * 60);
  const double rise = std::fmin(1.0, static_cast<double>(std::min(inside, 4800 - inside)) / 400);
  const double loud = kLoudness[syllable % 5] * (n / 48000 % 4 != 3);
  return (triangle(phase) * 0.6 + triangle(3 * phase) * 0.3 + noise * 0.1) * (rise * loud);
}

double wave(const std::string& kind, std::int64_t n, std::int64_t step, double noise) {
  if (kind == "voice") return voice(n, step, noise);
  if (kind == "hissing") return voice(n, step, noise) + noise * 0.02;
  if (kind == "noise") return noise;
  if (kind == "square") return n * step % 65536 < 32768 ? 1.0 : -1.0;
  return 0;
}

// Samples in pieces of a size; 0 is all at once.
template <typename Push>
void in_pieces(const std::vector<float>& samples, std::size_t size, const Push& push) {
  for (std::size_t first = 0; first < samples.size(); first += size) {
    push(samples.data() + first, std::min(size, samples.size() - first));
  }
}

std::string flags_text(const std::vector<bool>& flags) {
  std::string text;
  for (const bool flag : flags) text += flag ? '1' : '0';
  return text;
}

}  // namespace

std::vector<float> signal(const Checks& checks, const std::string& name) {
  static const Json all = checks.read("signals");
  const Json& found = at(all, name.c_str());
  const double gain = at(found, "gain").number, offset = at(found, "offset").number;
  std::vector<float> samples;
  std::uint32_t state = 1;
  for (std::int64_t n = 0; n < at(found, "samples").whole; ++n) {
    state = 1664525U * state + 1013904223U;
    const double noise = static_cast<double>(state) / 2147483648.0 - 1;
    samples.push_back(static_cast<float>(wave(at(found, "kind").text, n, at(found, "step").whole, noise) * gain + offset));
  }
  return samples;
}

void check_signals(Checks& checks) {
  for (const auto& [name, given] : checks.read("signals").members) {
    const std::vector<float> samples = signal(checks, name);
    phonemo::Sha256 hash;
    hash.add(samples.data(), samples.size() * sizeof(float));
    checks.same(hash.hexadecimal(), at(given, "sha256").text, name);
  }
}

void check_levels(Checks& checks) {
  for (const Json& given : checks.read("levels").items) {
    const std::string& name = at(given, "signal").text;
    std::vector<float> samples = signal(checks, name);
    phonemo::LevelMeter meter;
    meter.add_raw(samples.data(), samples.size(), 1);
    meter.add_mono(samples.data(), samples.size());
    const double variance = phonemo::moments_of(samples.data(), samples.size()).variance;
    checks.near(std::sqrt(variance), at(given, "deviation").number, 1e-9, name + ": deviation");
    checks.same(phonemo::boost_quiet(samples), at(given, "boosted").truth, name + ": boosted");
    const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    checks.near(Row(middle, middle + 4), at(given, "middle"), 1e-6, name + ": middle");
    const std::vector<std::string> expected = texts_of(at(given, "warnings"));
    checks.check(meter.warnings(false) == expected, name + ": warnings", "others", "the same");
  }
}

void check_vad(Checks& checks) {
  for (const Json& given : checks.read("vad").items) {
    const std::vector<float> samples = signal(checks, at(given, "signal").text);
    const auto size = static_cast<std::size_t>(at(given, "piece").whole);
    const std::string place = at(given, "signal").text + " in pieces of " + std::to_string(size);
    phonemo::ActivityTrack track;
    if (size == 0) track = phonemo::ActivityTrack::of_clip(samples.data(), samples.size());
    if (size > 0) in_pieces(samples, size, [&](const float* first, std::size_t count) { track.push(first, count); });
    checks.same(flags_text(track.flags), at(given, "flags").text, place);
    checks.near(track.share(0, samples.size()), at(given, "share").number, 0, place + ": share");
    const Row part = row_of(at(given, "part"));
    const auto start = static_cast<std::size_t>(part[0]), end = static_cast<std::size_t>(part[1]);
    checks.near(track.seconds(start, end), at(given, "seconds").number, 0, place + ": seconds");
    Row found;
    if (const auto extent = track.extent(start, end)) {
      found = {static_cast<double>(extent->first), static_cast<double>(extent->second)};
    }
    checks.near(found, at(given, "extent"), 0, place + ": extent");
  }
}

void check_windows(Checks& checks) {
  for (const Json& given : checks.read("windows").items) {
    phonemo::SlidingWindows windows(at(given, "window_seconds").number);
    std::vector<Row> found;
    const auto add = [&](const std::vector<phonemo::Window>& all) {
      for (const auto& one : all) found.push_back({static_cast<double>(one.start), static_cast<double>(one.samples.size())});
    };
    const std::vector<float> zeros(static_cast<std::size_t>(at(given, "samples").whole));
    in_pieces(zeros, static_cast<std::size_t>(at(given, "piece").whole),
              [&](const float* first, std::size_t count) { add(windows.push(first, count)); });
    add(windows.finish());
    checks.same(static_cast<long long>(windows.hop()), at(given, "hop").whole, "hop");
    checks.check(found == rows_of(at(given, "windows")), std::to_string(zeros.size()), "other windows", "the same");
  }
}

void check_resampling(Checks& checks) {
  const Json all = checks.read("resampling");
  for (const Json& given : at(all, "cases").items) {
    const auto rate = static_cast<int>(at(given, "rate").whole);
    std::vector<float> samples;
    for (std::int64_t n = 0; n < at(given, "count").whole; ++n) {
      double sum = 0;
      for (const double hertz : row_of(at(given, "hertz"))) sum += 0.3 * std::sin(2 * kPi * hertz * static_cast<double>(n) / rate);
      samples.push_back(static_cast<float>(sum));
    }
    std::vector<float> out;
    phonemo::Resampler resampler(rate);
    const auto add = [&](const std::vector<float>& more) { out.insert(out.end(), more.begin(), more.end()); };
    in_pieces(samples, 777, [&](const float* first, std::size_t count) { add(resampler.push(first, count)); });
    add(resampler.finish());
    const std::string place = std::to_string(rate) + " Hz";
    checks.same(static_cast<long long>(out.size()), at(given, "samples").whole, place);
    const Row expected = row_of(at(given, "expected"));
    const auto first = static_cast<std::size_t>(at(given, "first").whole);
    double power = 0;
    for (std::size_t n = 0; n < expected.size(); ++n) {
      power += std::pow(static_cast<double>(out[first + n]) - expected[n], 2) / static_cast<double>(expected.size());
    }
    const double level = 10 * std::log10(power + 1e-20), most = at(all, "tolerance_db").number;
    checks.check(level < most, place, std::to_string(level) + " dB", "less than " + std::to_string(most));
  }
}

}  // namespace golden

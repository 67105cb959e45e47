// phonemo-fuzz SECONDS SEED FILE...: mutate files and give them to the readers, under sanitizers.
//
// A reader may refuse anything with an error of its own; anything else ends the program.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "../phonemo.h"
#include "beam_search.h"
#include "bundle.h"
#include "json.h"
#include "language_model.h"
#include "npz.h"
#include "profile.h"
#include "statistics.h"
#include "wav.h"
#include "waveform.h"

namespace {

using Random = std::mt19937_64;

std::size_t pick(Random& random, std::size_t below) { return static_cast<std::size_t>(random() % below); }

std::string mutated(std::string data, Random& random) {
  constexpr std::uint32_t kWords[] = {0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
  for (std::size_t times = 1 + pick(random, 8); times > 0 && !data.empty(); --times) {
    const std::size_t at = pick(random, random() % 2 ? std::min<std::size_t>(data.size(), 120) : data.size());
    switch (pick(random, 6)) {
      case 0: data[at] = static_cast<char>(random()); break;
      case 1: data[at] = static_cast<char>(data[at] ^ 1 << pick(random, 8)); break;
      case 2: data.resize(at); break;
      case 3: data.insert(at, data.substr(pick(random, data.size()), pick(random, 64))); break;
      case 4: data.erase(at, 1 + pick(random, 16)); break;
      default: {
        const std::uint32_t word = kWords[pick(random, std::size(kWords))];
        for (std::size_t byte = 0; byte < 4 && at + byte < data.size(); ++byte) {
          data[at + byte] = static_cast<char>(word >> 8 * byte);
        }
      }
    }
  }
  return data;
}

void read_wav(const std::string& data) {
  phonemo::WaveformReader reader(phonemo::WavSource::of(data, "fuzz"));
  std::vector<float> samples;
  while (reader.next(samples)) {
  }
  reader.warnings();
}

void read_npz(const std::string& data) {
  phonemo::unpacked_reference(data, 3);
}

void read_json(const std::string& data) {
  phonemo::parse_json(data);
}

void read_card(const std::string& data) { phonemo::parse_card(data, "fuzz"); }

void read_profile(const std::string& data) { phonemo::Profile::parse(data, "fuzz").mark(); }

// Decode frames in which all symbols compete, with any settings that were accepted.
void decode(const phonemo::PhonemeModel& model) {
  const phonemo::Posteriors posteriors(6, phonemo::log_softmax(phonemo::Row{0.4, 0.2, 0.3, 0.1, 0.5, 0.2}));
  phonemo::decode_with(posteriors, model);
}

void read_phonemes(const std::string& data) { decode(phonemo::unpacked_model(data, 6)); }

void read_language(const std::string& data) {
  decode(phonemo::model_of_content(phonemo::parse_json(data), {"-", "a", "b", "d", "s", "t"}, "fuzz"));
}

void read_deflated(const std::string& data) { phonemo::inflate(data, 4096); }

struct Reader {
  const char* name;
  void (*read)(const std::string&);
};

std::vector<Reader> readers_of(const std::string& path) {
  const std::string end = path.substr(path.rfind('.') + 1);
  if (end == "wav") return {{"wav", read_wav}};
  if (end == "npz") return {{"npz", read_npz}, {"phonemes", read_phonemes}};
  if (end == "deflate") return {{"deflate", read_deflated}};
  return {{"json", read_json}, {"card", read_card}, {"profile", read_profile}, {"language", read_language}};
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: phonemo-fuzz SECONDS SEED FILE...\n");
    return 2;
  }
  Random random(std::strtoull(words[2], nullptr, 10));
  const auto stop = std::chrono::steady_clock::now() + std::chrono::seconds(std::atol(words[1]));
  std::map<std::string, std::pair<long, long>> results;  // accepted, refused
  std::vector<std::pair<std::string, std::string>> seeds;
  for (int word = 3; word < count; ++word) {
    std::ifstream file(words[word], std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    seeds.emplace_back(words[word], content.str());
  }
  while (std::chrono::steady_clock::now() < stop) {
    const auto& [path, content] = seeds[pick(random, seeds.size())];
    const std::string data = mutated(content, random);
    for (const Reader& reader : readers_of(path)) {
      auto& [accepted, refused] = results[reader.name];
      try {
        reader.read(data);
        ++accepted;
      } catch (const phonemo::Error&) {
        ++refused;
      } catch (const phonemo::JsonFault&) {
        ++refused;
      } catch (const phonemo::NpzFault&) {
        ++refused;
      }
    }
  }
  for (const auto& [name, counts] : results) {
    std::printf("%s: %ld accepted, %ld refused\n", name.c_str(), counts.first, counts.second);
  }
  return 0;
}

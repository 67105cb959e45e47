#include "../phonemo.h"
#include "json.h"
#include "text.h"

namespace phonemo {
namespace {

// Writes an object key by key.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) { out_ += '{'; }
  ~Writer() { out_ += '}'; }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Begin a value.
  std::string& key(const std::string& name) {
    if (!is_first_) out_ += ", ";
    is_first_ = false;
    append_json_string(out_, name);
    return out_ += ": ";
  }

  void number(const std::string& name, double value) { key(name) += number_text(value); }
  void truth(const std::string& name, bool value) { key(name) += value ? "true" : "false"; }
  void whole(const std::string& name, std::int64_t value) { key(name) += std::to_string(value); }

  void text(const std::string& name, const std::optional<std::string>& value) {
    std::string& out = key(name);
    if (value) {
      append_json_string(out, *value);
    } else {
      out += "null";
    }
  }

  void scores(const std::string& name, const Scores& values, int digits = -1) {
    Writer object(key(name));
    for (const auto& [label, score] : values) object.number(label, digits < 0 ? score : rounded(score, digits));
  }

  void dimensions(const std::optional<Dimensions>& found) {
    if (!found) return;
    Writer object(key("dimensions"));
    for (const auto& [name, value] : found->values) object.number(name, rounded(value, 4));
    object.truth("derived", found->derived);
  }

  void profile(const std::optional<ProfileMark>& mark) {
    if (!mark) return;
    Writer object(key("profile"));
    object.text("hash", mark->hash);
    object.whole("count", mark->count);
  }

 private:
  std::string& out_;
  bool is_first_ = true;
};

// Append the items of a list, each by a function.
template <typename Items, typename Append>
void append_list(std::string& out, const Items& items, const Append& append) {
  out += '[';
  bool is_first = true;
  for (const auto& item : items) {
    if (!is_first) out += ", ";
    is_first = false;
    append(item);
  }
  out += ']';
}

void append_span(std::string& out, const Span& span) {
  Writer object(out);
  object.text("symbol", span.symbol);
  object.number("start", rounded(span.start, 4));
  object.number("end", rounded(span.end, 4));
  object.number("confidence", rounded(span.confidence, 4));
  if (span.share) object.number("share", rounded(*span.share, 6));
}

void append_segment(std::string& out, const Segment& segment) {
  Writer object(out);
  object.number("start", rounded(segment.start, 4));
  object.number("end", rounded(segment.end, 4));
  object.text("label", segment.label);
  object.truth("unsure", segment.unsure || !segment.label);
  object.scores("scores", segment.scores);
  object.dimensions(segment.dimensions);
  if (segment.channel > 0) object.whole("channel", segment.channel);
}

void append_ratio(Writer& object, const std::optional<double>& ratio, bool is_rounded) {
  std::string& out = object.key("speech_ratio");
  out += ratio ? number_text(is_rounded ? rounded(*ratio, 4) : *ratio) : "null";
}

void append_phonemes(Writer& object, const std::optional<std::vector<Span>>& spans) {
  std::string& out = object.key("phonemes");
  if (!spans) {
    out += "null";
    return;
  }
  append_list(out, *spans, [&](const Span& span) { append_json_string(out, span.symbol); });
}

}  // namespace

std::string Segment::to_json() const {
  std::string out;
  append_segment(out, *this);
  return out;
}

std::string Event::to_json() const {
  std::string out;
  {
    Writer object(out);
    object.text("type", kind);
    append_segment(object.key("segment"), segment);
    append_ratio(object, speech_ratio, false);
    object.profile(profile);
  }
  return out;
}

std::string Prediction::to_json(bool with_spans) const {
  std::string out;
  {
    Writer object(out);
    object.text("label", label);
    object.truth("unsure", unsure());
    object.scores("scores", scores);
    object.number("seconds", rounded(seconds, 3));
    append_phonemes(object, spans);
    append_list(object.key("warnings"), warnings, [&](const std::string& name) { append_json_string(out, name); });
    append_ratio(object, speech_ratio, true);
    append_list(object.key("segments"), segments, [&](const Segment& one) { append_segment(out, one); });
    if (const Scores mixed = mixture(); !mixed.empty()) object.scores("mixture", mixed, 4);
    object.dimensions(dimensions);
    object.profile(profile);
    if (channel > 0) object.whole("channel", channel);
    if (with_spans) {
      std::string& list = object.key("spans");
      if (spans) {
        append_list(list, *spans, [&](const Span& span) { append_span(out, span); });
      } else {
        list += "null";
      }
    }
  }
  return out;
}

}  // namespace phonemo

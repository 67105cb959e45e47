#include "npz.h"

#include <cstdlib>
#include <cstring>

namespace phonemo {
namespace {

constexpr std::size_t kEndBytes = 22, kEntryBytes = 46, kLocalBytes = 30;

// Little-endian numbers at checked places.
class Bytes {
 public:
  explicit Bytes(std::string_view content) : content_(content) {}

  std::string_view part(std::size_t at, std::size_t size) const {
    if (at > content_.size() || size > content_.size() - at) throw NpzFault("it ends early");
    return content_.substr(at, size);
  }

  std::uint64_t number(std::size_t at, std::size_t size) const {
    std::uint64_t value = 0;
    const std::string_view bytes = part(at, size);
    for (std::size_t place = size; place-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes[place]);
    }
    return value;
  }

  std::size_t place(std::size_t at, std::size_t size) const {
    return static_cast<std::size_t>(number(at, size));
  }

 private:
  std::string_view content_;
};

// Where the table of contents begins, and how many members it has.
std::pair<std::size_t, std::size_t> find_table(const Bytes& zip, std::string_view content) {
  if (content.size() < kEndBytes) throw NpzFault("no zip file");
  const std::size_t mark = content.rfind("PK\5\6", content.size() - kEndBytes);
  if (mark == content.npos) throw NpzFault("no zip file");
  return {zip.place(mark + 16, 4), zip.place(mark + 10, 2)};
}

std::string unpacked_member(const Bytes& zip, std::size_t entry, std::size_t most_bytes) {
  const std::size_t method = zip.place(entry + 10, 2), packed = zip.place(entry + 20, 4);
  const std::size_t size = zip.place(entry + 24, 4), local = zip.place(entry + 42, 4);
  if (size > most_bytes) throw NpzFault("it is too large when unpacked");
  const std::size_t names = zip.place(local + 26, 2) + zip.place(local + 28, 2);
  const std::string_view data = zip.part(local + kLocalBytes + names, packed);
  if (method == 8) return inflate(data, size);
  if (method != 0 || packed != size) throw NpzFault("an unknown compression");
  return std::string(data);
}

std::vector<std::size_t> shape_of(std::string_view header) {
  const std::size_t first = header.find("'shape': ("), last = header.find(')', first);
  if (first == header.npos || last == header.npos) throw NpzFault("an array without a shape");
  std::vector<std::size_t> shape;
  std::size_t size = 0;
  bool is_number = false;
  for (const char letter : header.substr(first + 10, last - first - 9)) {
    if (letter >= '0' && letter <= '9') {
      size = size * 10 + static_cast<std::size_t>(letter - '0'), is_number = true;
      if (size > 1U << 30) throw NpzFault("an array that is too large");
    } else if (letter == ',' || letter == ')') {
      if (is_number) shape.push_back(size);
      size = 0, is_number = false;
    } else if (letter != ' ') {
      throw NpzFault("an array with an invalid shape");
    }
  }
  return shape;
}

template <typename Number>
std::vector<double> numbers(std::string_view data, std::size_t count) {
  if (count > data.size() / sizeof(Number)) throw NpzFault("an array that ends early");
  std::vector<double> values(count);
  for (std::size_t at = 0; at < count; ++at) {
    Number value;
    std::memcpy(&value, data.data() + at * sizeof value, sizeof value);
    values[at] = static_cast<double>(value);
  }
  return values;
}

using Converter = std::vector<double> (*)(std::string_view, std::size_t);
constexpr std::pair<std::string_view, Converter> kTypes[] = {
    {"<f4", numbers<float>},         {"<f8", numbers<double>},        {"<i8", numbers<std::int64_t>},
    {"<i4", numbers<std::int32_t>},  {"|u1", numbers<std::uint8_t>},  {"<u2", numbers<std::uint16_t>},
    {"<u4", numbers<std::uint32_t>},
};

Array array_of(std::string_view content) {
  const Bytes bytes(content);
  if (bytes.part(0, 6) != "\x93NUMPY") throw NpzFault("no array of numpy");
  const std::size_t width = bytes.number(6, 1) == 1 ? 2 : 4;
  const std::size_t size = bytes.place(8, width);
  const std::string_view header = bytes.part(8 + width, size);
  const std::size_t type = header.find("'descr': '");
  if (type == header.npos) throw NpzFault("an array without a type");
  if (header.find("'fortran_order': False") == header.npos) throw NpzFault("an array in another order");
  Array array;
  array.type = header.substr(type + 10, 3);
  array.shape = shape_of(header);
  std::size_t count = 1;
  for (const std::size_t axis : array.shape) {
    if (axis > 0 && count > content.size() / axis) throw NpzFault("an array that ends early");
    count *= axis;
  }
  for (const auto& [name, convert] : kTypes) {
    if (name != array.type) continue;
    array.values = convert(content.substr(8 + width + size), count);
    return array;
  }
  throw NpzFault("an array of an unknown type");
}

}  // namespace

std::map<std::string, Array> read_npz(std::string_view content, std::size_t most_bytes) {
  const Bytes zip(content);
  auto [at, count] = find_table(zip, content);
  std::map<std::string, Array> arrays;
  for (; count > 0; --count) {
    if (zip.part(at, 4) != "PK\1\2") throw NpzFault("a broken table of contents");
    const std::size_t name_size = zip.place(at + 28, 2);
    std::string name(zip.part(at + kEntryBytes, name_size));
    const std::string member = unpacked_member(zip, at, most_bytes);
    most_bytes -= member.size();
    if (name.size() > 4 && name.substr(name.size() - 4) == ".npy") name.resize(name.size() - 4);
    arrays[name] = array_of(member);
    at += kEntryBytes + name_size + zip.place(at + 30, 2) + zip.place(at + 32, 2);
  }
  return arrays;
}

}  // namespace phonemo

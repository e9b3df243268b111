#include "realtime/plan_file.h"

#include <sys/stat.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "core/error.h"
#include "core/version.h"
#include "math/lane.h"
#include "realtime/json.h"

namespace tg::realtime {
namespace {

static_assert(std::endian::native == std::endian::little,
              "plan files are little-endian, and so is every supported machine");

constexpr char kMagic[8] = {'T', 'G', 'P', 'L', 'A', 'N', '\r', '\n'};  // \r\n: a copy as text is noticed
constexpr uint32_t kFormat = 1;
constexpr size_t kMostHeader = 1 << 22, kUnit = 64;

// The first 32 bytes.
struct Front {
  char magic[8];
  uint32_t format, arithmetic;
  uint32_t header_bytes;
  uint32_t checksum;  // CRC-32 (that of zlib) of all bytes after this number
  uint64_t file_bytes;
};
static_assert(sizeof(Front) == 32);
constexpr size_t kChecked = offsetof(Front, file_bytes);

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> t{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    t[i] = c;
  }
  return t;
}
uint32_t crc32(std::span<const std::byte> bytes) {
  static constexpr auto table = crc_table();
  uint32_t c = 0xffffffffu;
  for (const std::byte b : bytes) c = table[(c ^ static_cast<uint32_t>(b)) & 255] ^ (c >> 8);
  return ~c;
}

class Fnv {
 public:
  void bytes(const void* data, size_t n) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < n; i++) h_ = (h_ ^ p[i]) * 0x100000001b3u;
  }
  void number(int64_t n) { bytes(&n, sizeof n); }
  void text(std::string_view s) {
    number(static_cast<int64_t>(s.size()));
    bytes(s.data(), s.size());
  }
  uint64_t value() const { return h_; }

 private:
  uint64_t h_ = 0xcbf29ce484222325u;
};

size_t aligned(size_t n) { return (n + kUnit - 1) / kUnit * kUnit; }

std::string hex(uint64_t n) {
  char s[17];
  std::snprintf(s, sizeof s, "%016llx", static_cast<unsigned long long>(n));
  return s;
}

bool same_bits(float a, float b) { return bits(a) == bits(b) || (a != a && b != b); }

// ---- the header

std::string header_of(const Plan& plan) {
  const Program& p = plan.program;
  std::ostringstream s;
  s << "{\"trigrad\":\"" TRIGRAD_VERSION "\",\"refuse_nan\":" << (p.refuse_nan ? "true" : "false") << ",\"digest\":\""
    << hex(digest(p)) << "\",\"self_test\":" << plan.test.rows << ",\n\"width\":[";
  for (size_t i = 0; i < p.width.size(); i++) s << (i ? "," : "") << p.width[i];
  s << "],\n\"constants\":[";
  for (size_t i = 0; i < p.constants.size(); i++)
    s << (i ? ",[" : "[") << p.constants[i].rows << ',' << p.constants[i].columns << ",\""
      << name(p.constants[i].storage) << "\"]";
  s << "],\n\"instructions\":[";
  const char* between = "\n";
  for (const Instruction& i : p.instructions) {
    s << between << "{\"code\":\"" << name(i.code) << "\",\"a\":" << i.a << ",\"out\":" << i.out;
    if (i.b != kNone) s << ",\"b\":" << i.b;
    if (i.function != kNone) s << ",\"function\":\"" << kPointwiseInfo[i.function].name << '"';
    if (i.relu) s << ",\"relu\":true";
    if (i.code == Code::copy)
      s << ",\"a_offset\":" << i.a_offset << ",\"out_offset\":" << i.out_offset << ",\"count\":" << i.count;
    for (int k = 0; k < constants_of(i.code); k++) s << (k ? "," : ",\"constants\":[") << i.constant[k];
    s << (constants_of(i.code) ? "]}" : "}");
    between = ",\n";
  }
  s << "]}\n";
  std::string text = s.str();
  text.resize(aligned(sizeof(Front) + text.size()) - sizeof(Front), ' ');
  return text;
}

Storage storage_named(const JsonReader& r, std::string_view wanted) {
  for (int s = 0; s < kStorages; s++)
    if (wanted == name(static_cast<Storage>(s))) return static_cast<Storage>(s);
  r.refuse("a storage that is known");
}
Code code_named(const JsonReader& r, std::string_view wanted) {
  for (int c = 0; c < kCodes; c++)
    if (wanted == name(static_cast<Code>(c))) return static_cast<Code>(c);
  r.refuse("an instruction that is known");
}
int32_t function_named(const JsonReader& r, std::string_view wanted) {
  for (int32_t f = 0; f < kPointwiseOps; f++)
    if (wanted == kPointwiseInfo[f].name) return f;
  r.refuse("a function that is known");
}

Instruction read_instruction(JsonReader& r) {
  Instruction i;
  bool has_code = false;
  r.object([&](std::string_view key) {
    if (key == "code") i.code = code_named(r, r.string()), has_code = true;
    else if (key == "function") i.function = function_named(r, r.string());
    else if (key == "a") i.a = r.integer();
    else if (key == "b") i.b = r.integer();
    else if (key == "out") i.out = r.integer();
    else if (key == "relu") i.relu = r.boolean();
    else if (key == "a_offset") i.a_offset = r.integer();
    else if (key == "out_offset") i.out_offset = r.integer();
    else if (key == "count") i.count = r.integer();
    else if (key == "constants") {
      int k = 0;
      r.array([&] {
        if (k == kMostConstants) r.refuse("one of at most five constants");
        i.constant[k++] = r.integer();
      });
    } else {
      r.refuse("a key of an instruction");
    }
  });
  if (!has_code) r.refuse("an instruction with a code");
  return i;
}

struct Header {
  Plan plan;
  std::string digest;
};

Header read_header(std::string_view text, const char* who) {
  Header h;
  Program& p = h.plan.program;
  JsonReader r(text, who);
  r.object([&](std::string_view key) {
    if (key == "trigrad") r.string();  // who wrote it: for people
    else if (key == "refuse_nan") p.refuse_nan = r.boolean();
    else if (key == "digest") h.digest = r.string();
    else if (key == "self_test") h.plan.test.rows = r.integer();
    else if (key == "width") r.array([&] { p.width.push_back(r.integer()); });
    else if (key == "constants") {
      r.array([&] {
        Constant c;
        int k = 0;
        r.array([&] {
          if (k == 2) c.storage = storage_named(r, r.string());
          else if (k > 2) r.refuse("two lengths and a storage");
          else (k == 0 ? c.rows : c.columns) = r.integer();
          k++;
        });
        if (k < 3) r.refuse("two lengths and a storage");
        p.constants.push_back(c);
      });
    } else if (key == "instructions") {
      r.array([&] { p.instructions.push_back(read_instruction(r)); });
    } else {
      r.refuse("a key of the header");
    }
  });
  r.end();
  return h;
}

// ---- the numbers, in order: parameters (instructions, 2), every constant, the self test's events and answers

template <class Piece>
void each_piece(Plan& plan, std::vector<float>& parameters, Piece piece) {
  piece(parameters, Storage::float32);
  for (Constant& c : plan.program.constants) piece(c.data, c.storage);
  piece(plan.test.x, Storage::float32);
  piece(plan.test.y, Storage::float32);
}

size_t bytes_of(size_t numbers, Storage storage) {
  return numbers * (storage == Storage::float32 ? 4 : storage == Storage::int8 ? 1 : 2);
}
template <class T, class Convert>
void write_as(const std::vector<float>& numbers, std::byte* to, Convert convert) {
  for (const float x : numbers) {
    const auto n = static_cast<T>(convert(x));
    std::memcpy(to, &n, sizeof n);
    to += sizeof n;
  }
}
template <class T, class Convert>
void read_as(std::vector<float>& numbers, const std::byte* from, Convert convert) {
  for (float& x : numbers) {
    T n;
    std::memcpy(&n, from, sizeof n);
    x = convert(n);
    from += sizeof n;
  }
}
void write_numbers(const std::vector<float>& numbers, Storage storage, std::byte* to) {
  auto upper = [](float x) { return static_cast<uint32_t>(bits(x)) >> 16; };
  auto same = [](float x) { return x; };
  if (storage == Storage::float32) write_as<float>(numbers, to, same);
  else if (storage == Storage::bfloat16) write_as<uint16_t>(numbers, to, upper);
  else if (storage == Storage::int8) write_as<int8_t>(numbers, to, same);
  else write_as<int16_t>(numbers, to, same);
}
void read_numbers(std::vector<float>& numbers, Storage storage, const std::byte* from) {
  auto widened = [](uint16_t n) { return from_bits<float>(static_cast<int32_t>(static_cast<uint32_t>(n) << 16)); };
  auto same = [](auto n) { return static_cast<float>(n); };
  if (storage == Storage::float32) read_as<float>(numbers, from, same);
  else if (storage == Storage::bfloat16) read_as<uint16_t>(numbers, from, widened);
  else if (storage == Storage::int8) read_as<int8_t>(numbers, from, same);
  else read_as<int16_t>(numbers, from, same);
}

}  // namespace

uint64_t digest(const Program& p) {
  Fnv h;
  h.number(p.refuse_nan);
  h.number(static_cast<int64_t>(p.width.size()));
  for (const int32_t w : p.width) h.number(w);
  for (const Instruction& i : p.instructions) {
    h.text(name(i.code));
    h.text(i.function == kNone ? "" : kPointwiseInfo[i.function].name);
    for (const int32_t n : {i.a, i.b, i.out, i.a_offset, i.out_offset, i.count, static_cast<int32_t>(i.relu)})
      h.number(n);
    for (int k = 0; k < constants_of(i.code); k++) h.number(i.constant[k]);
    h.bytes(&i.p, sizeof i.p);
    h.bytes(&i.q, sizeof i.q);
  }
  for (const Constant& c : p.constants) {
    h.number(c.rows);
    h.number(static_cast<int>(c.storage));
    h.bytes(c.data.data(), c.data.size() * sizeof(float));
  }
  return h.value();
}

SelfTest self_test_of(const Program& p) {
  SelfTest t;
  t.rows = 8;
  const auto n = static_cast<size_t>(p.inputs());
  uint64_t state = 0x9e3779b97f4a7c15u;
  for (int32_t row = 0; row < t.rows; row++)
    for (size_t k = 0; k < n; k++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const float u = static_cast<float>(static_cast<int32_t>(state >> 40) - (1 << 23)) * 0x1p-22f;  // -2 .. 2
      t.x.push_back(row == 0 ? 0.0f : row == 6 ? u * 1e4f : row == 7 ? u * 0x1p-140f : u);
    }
  t.y.resize(static_cast<size_t>(t.rows) * static_cast<size_t>(p.outputs()));
  const Predictor predictor(p, *kernel_table(nullptr));
  predictor.run_rows(t.x.data(), t.rows, t.y.data());
  return t;
}

std::vector<std::byte> to_bytes(const Plan& given) {
  Plan plan = given;
  const std::string header = header_of(plan);
  std::vector<float> parameters;
  for (const Instruction& i : plan.program.instructions) parameters.insert(parameters.end(), {i.p, i.q});
  size_t size = sizeof(Front) + header.size();
  each_piece(plan, parameters,
             [&](const std::vector<float>& v, Storage storage) { size += aligned(bytes_of(v.size(), storage)); });
  std::vector<std::byte> bytes(size);
  size_t at = sizeof(Front);
  std::memcpy(bytes.data() + at, header.data(), header.size());
  at += header.size();
  each_piece(plan, parameters, [&](const std::vector<float>& v, Storage storage) {
    write_numbers(v, storage, bytes.data() + at);
    at += aligned(bytes_of(v.size(), storage));
  });
  Front front{};
  std::memcpy(front.magic, kMagic, sizeof kMagic);
  front.format = kFormat, front.arithmetic = kArithmeticVersion;
  front.header_bytes = static_cast<uint32_t>(header.size());
  front.file_bytes = size;
  std::memcpy(bytes.data(), &front, sizeof front);
  front.checksum = crc32(std::span(bytes).subspan(kChecked));
  std::memcpy(bytes.data(), &front, sizeof front);
  return bytes;
}

Plan from_bytes(std::span<const std::byte> bytes, const char* who) {
  auto damaged = [&](const auto&... pieces) { fail(ErrorKind::Value, "[", who, "] the file is damaged: ", pieces...); };
  Front front;
  if (bytes.size() < sizeof front || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    fail(ErrorKind::Value, "[", who, "] this is not a plan file of trigrad: it does not begin as one");
  std::memcpy(&front, bytes.data(), sizeof front);
  if (front.format != kFormat)
    fail(ErrorKind::Value, "[", who, "] the file has format ", front.format, ", this trigrad (", TRIGRAD_VERSION,
         ") reads format ", kFormat, "; ", front.format > kFormat ? "update trigrad" : "save the model again");
  if (front.file_bytes != bytes.size())
    damaged("it has ", bytes.size(), " bytes, expected ", front.file_bytes,
            front.file_bytes > bytes.size() ? "; it was cut off" : "");
  if (crc32(bytes.subspan(kChecked)) != front.checksum) damaged("its checksum does not fit its bytes");
  if (front.arithmetic != kArithmeticVersion)
    fail(ErrorKind::Value, "[", who, "] the file promises the bits of arithmetic version ", front.arithmetic,
         ", this trigrad computes those of ", kArithmeticVersion, "; save the model again");
  const size_t header_end = sizeof front + front.header_bytes;
  if (front.header_bytes > kMostHeader || header_end > bytes.size() || header_end % kUnit != 0)
    damaged("a header of ", front.header_bytes, " bytes");
  Header h = read_header({reinterpret_cast<const char*>(bytes.data()) + sizeof front, front.header_bytes}, who);
  Plan& plan = h.plan;
  Program& p = plan.program;
  // Sizes first, in 64 bits; nothing is allocated that the file does not hold.
  size_t left = bytes.size() - header_end;
  const auto need = [&](int64_t rows, int64_t columns, Storage storage = Storage::float32) {
    if (rows < 0 || columns < 0 || rows > (1 << 20) || columns > (1 << 20) ||
        aligned(bytes_of(static_cast<size_t>(rows * columns), storage)) > left)
      damaged("numbers of shape (", rows, ", ", columns, ") in ", left, " bytes");
    left -= aligned(bytes_of(static_cast<size_t>(rows * columns), storage));
    return static_cast<size_t>(rows * columns);
  };
  if (p.width.empty() || p.instructions.empty()) damaged("nothing to compute");
  const int32_t out = p.instructions.back().out;
  if (out < 0 || static_cast<size_t>(out) >= p.width.size()) damaged("no output");
  std::vector<float> parameters(need(static_cast<int64_t>(p.instructions.size()), 2));
  for (Constant& c : p.constants) c.data.resize(need(c.rows, c.columns, c.storage));
  plan.test.x.resize(need(plan.test.rows, p.inputs()));
  plan.test.y.resize(need(plan.test.rows, p.outputs()));
  if (left != 0) damaged(left, " bytes too many");
  size_t at = header_end;
  each_piece(plan, parameters, [&](std::vector<float>& v, Storage storage) {
    read_numbers(v, storage, bytes.data() + at);
    at += aligned(bytes_of(v.size(), storage));
  });
  for (size_t i = 0; i < p.instructions.size(); i++)
    p.instructions[i].p = parameters[2 * i], p.instructions[i].q = parameters[2 * i + 1];
  validate(p, who);
  if (h.digest != hex(digest(p))) damaged("its weights are not those that were saved");
  if (plan.test.rows < 1) damaged("no self test");
  return plan;
}

void check_self_test(const Predictor& predictor, const SelfTest& test, const char* who) {
  std::vector<float> y(test.y.size());
  const int32_t outputs = predictor.outputs();
  for (const bool rows : {false, true}) {
    if (rows) predictor.run_rows(test.x.data(), test.rows, y.data());
    for (int32_t i = 0; i < test.rows; i++) {
      if (!rows) predictor.run(test.x.data() + i * predictor.inputs(), y.data() + i * outputs);
      for (int32_t k = 0; k < outputs; k++)
        if (!same_bits(y[static_cast<size_t>(i * outputs + k)], test.y[static_cast<size_t>(i * outputs + k)]))
          fail(ErrorKind::Runtime, "[", who, "] the self test failed: event ", i, ", output ", k, " is ",
               y[static_cast<size_t>(i * outputs + k)], ", the file says ",
               test.y[static_cast<size_t>(i * outputs + k)]);
    }
  }
}

std::vector<std::byte> read_file(const char* path, const char* who) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) fail(ErrorKind::Value, "[", who, "] cannot open ", path, ": ", std::strerror(errno));
  struct stat about;
  std::vector<std::byte> bytes;
  const bool regular = ::fstat(::fileno(file), &about) == 0 && S_ISREG(about.st_mode);
  if (regular) bytes.resize(static_cast<size_t>(about.st_size));
  const bool whole = regular && std::fread(bytes.data(), 1, bytes.size(), file) == bytes.size();
  std::fclose(file);
  if (!regular) fail(ErrorKind::Value, "[", who, "] ", path, " is not a file");
  if (!whole) fail(ErrorKind::Value, "[", who, "] cannot read ", path);
  return bytes;
}

}  // namespace tg::realtime

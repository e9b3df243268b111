#include "realtime/program.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "math/lane.h"

namespace tg::realtime {
namespace {

constexpr const char* kNames[kCodes] = {"dense",       "unary",     "binary",      "affine",  "prelu",
                                        "standardize", "softmax",   "log_softmax", "largest", "step",
                                        "copy",        "quantize8", "quantize16",  "dense8",  "dense16"};
constexpr int kConstants[kCodes] = {2, 0, 0, 2, 1, 5, 0, 0, 0, 0, 0, 2, 2, 3, 3};
constexpr const char* kStorageNames[kStorages] = {"float32", "bfloat16", "int8", "int16"};
constexpr int32_t kWidest = 1 << 20;
constexpr size_t kMost = 1 << 16;  // instructions, values, constants

bool is_unary(int32_t function) {
  switch (function) {
#define TG_UNARY(name, ...) \
  case id_##name: return true;
#include "math/pointwise.def"
    default: return false;
  }
}
bool is_integer(float x, float least, float most) {  // and not -0
  return x >= least && x <= most && x == std::trunc(x) && (x != 0 || bits(x) == 0);
}
bool holds(Storage storage, float x) {
  switch (storage) {
    case Storage::bfloat16: return (bits(x) & 0xffff) == 0;
    case Storage::int8: return is_integer(x, -127, 127);
    case Storage::int16: return is_integer(x, -32767, 32767);
    default: return true;
  }
}
bool is_binary(int32_t function) {
  return function == id_add || function == id_sub || function == id_mul || function == id_maximum;
}

class Checker {
 public:
  Checker(const Program& program, const char* who) : p_(program), who_(who) {}

  void check() {
    if (p_.width.empty() || p_.width.size() > kMost || p_.constants.size() > kMost)
      refuse(p_.width.size(), " values and ", p_.constants.size(), " constants, expected 1 to ", kMost);
    if (p_.instructions.empty() || p_.instructions.size() > kMost)
      refuse(p_.instructions.size(), " instructions, expected 1 to ", kMost);
    for (const int32_t w : p_.width)
      if (w < 1 || w > kWidest) refuse("a value of width ", w, ", expected 1 to ", kWidest);
    for (const Constant& c : p_.constants) {
      if (c.rows < 1 || c.columns < 1 || c.rows > kWidest || c.columns > kWidest ||
          c.data.size() != static_cast<size_t>(c.rows) * static_cast<size_t>(c.columns))
        refuse("a constant of ", c.data.size(), " numbers for shape (", c.rows, ", ", c.columns, ")");
      if (!std::all_of(c.data.begin(), c.data.end(), [&](float x) { return holds(c.storage, x); }))
        refuse("a constant of ", name(c.storage), " with other numbers");
    }
    written_.assign(p_.width.size(), 0);
    maker_.assign(p_.width.size(), nullptr);
    written_[0] = p_.width[0];
    for (at_ = 0; at_ < p_.instructions.size(); at_++) instruction(p_.instructions[at_]);
    const int32_t out = p_.instructions.back().out;
    if (written_[static_cast<size_t>(out)] != width(out)) refuse("an output that is only written in part");
    if (is_quantize(p_.instructions.back().code)) refuse("an output of integers");
  }

 private:
  template <class... Pieces>
  [[noreturn]] void refuse(const Pieces&... pieces) const {
    fail(ErrorKind::Value, "[", who_, "] the program is not valid: it has ", pieces...);
  }
  template <class... Pieces>
  [[noreturn]] void refuse_this(const Pieces&... pieces) const {
    fail(ErrorKind::Value, "[", who_, "] the program is not valid: instruction ", at_, ", ",
         name(p_.instructions[at_].code), ", has ", pieces...);
  }
  int32_t width(int32_t value) const { return p_.width[static_cast<size_t>(value)]; }

  int32_t read(int32_t value, Storage kind = Storage::float32) const {
    if (value < 0 || static_cast<size_t>(value) >= p_.width.size()) refuse_this("value ", value, " as input");
    if (written_[static_cast<size_t>(value)] != width(value))
      refuse_this("an input, value ", value, ", not yet written");
    const Instruction* maker = maker_[static_cast<size_t>(value)];
    if ((maker ? storage_of(maker->code) : Storage::float32) != kind)
      refuse_this("an input, value ", value, ", that is not ", name(kind));
    return width(value);
  }
  void constant(const Instruction& i, int k, int32_t rows, int32_t columns) const {
    const int32_t index = i.constant[k];
    if (index < 0 || static_cast<size_t>(index) >= p_.constants.size()) refuse_this("constant ", index);
    const Constant& c = p_.constants[static_cast<size_t>(index)];
    if (c.rows != rows || c.columns != columns)
      refuse_this("a constant of shape (", c.rows, ", ", c.columns, "), expected (", rows, ", ", columns, ")");
  }

  void instruction(const Instruction& i) {
    if (static_cast<int>(i.code) >= kCodes)
      fail(ErrorKind::Value, "[", who_, "] the program is not valid: code ", static_cast<int>(i.code));
    if (i.out < 1 || static_cast<size_t>(i.out) >= p_.width.size()) refuse_this("value ", i.out, " as output");
    if (i.relu && !is_dense(i.code)) refuse_this("a relu, which dense alone takes");
    const int32_t a = read(i.a, is_dense(i.code) ? storage_of(i.code) : Storage::float32), out = width(i.out);
    auto same = [&] {
      if (a != out) refuse_this("input and output of widths ", a, " and ", out, ", expected the same");
    };
    auto& written = written_[static_cast<size_t>(i.out)];
    if (i.code == Code::copy) {
      if (i.count < 1 || i.a_offset < 0 || i.a_offset > a - i.count) refuse_this("a part beyond its input");
      if (i.out_offset != written || i.count > out - written) refuse_this("a part that does not follow the one before");
      written += i.count;
      return;
    }
    if (written != 0) refuse_this("an output that is written already");
    switch (i.code) {
      case Code::dense:
      case Code::dense8:
      case Code::dense16:
        constant(i, 0, out, a);
        if (i.constant[1] != kNone) constant(i, 1, 1, out);
        if (i.code != Code::dense) integer_dense(i, a, out);
        else if (storage(i, 0) != Storage::float32 && storage(i, 0) != Storage::bfloat16)
          refuse_this("weights of ", name(storage(i, 0)));
        break;
      case Code::unary:
        same();
        if (!is_unary(i.function)) refuse_this("function ", i.function);
        break;
      case Code::binary:
        same();
        if (!is_binary(i.function)) refuse_this("function ", i.function);
        if (read(i.b) != out) refuse_this("inputs of different widths");
        break;
      case Code::largest:
        if (a % out != 0) refuse_this("input and output of widths ", a, " and ", out, ", expected a multiple");
        break;
      default:
        same();
        for (int k = 0; k < constants_of(i.code); k++) constant(i, k, 1, out);
        if (is_quantize(i.code)) quantize(i);
    }
    written = out;
    if (is_quantize(i.code)) maker_[static_cast<size_t>(i.out)] = &i;
  }

  const std::vector<float>& data(const Instruction& i, int k) const {
    return p_.constants[static_cast<size_t>(i.constant[k])].data;
  }
  Storage storage(const Instruction& i, int k) const {
    return p_.constants[static_cast<size_t>(i.constant[k])].storage;
  }
  void quantize(const Instruction& i) const {
    const float low = i.code == Code::quantize8 ? 0.0f : -32767.0f,
                high = i.code == Code::quantize8 ? 255.0f : 32767.0f;
    if (!is_integer(i.p, low, high) || !is_integer(i.q, i.p, high)) refuse_this("a range of ", i.p, " to ", i.q);
    for (const float zero : data(i, 1))
      if (!is_integer(zero, i.p, i.q)) refuse_this("zero at ", zero, ", outside of ", i.p, " to ", i.q);
    for (const float scale : data(i, 0))
      if (!(std::fabs(scale) < INFINITY)) refuse_this("a scale of ", scale);
  }
  // The sum starts at -(w zero) and takes one product of w and an integer of p .. q after another.
  void integer_dense(const Instruction& i, int32_t K, int32_t N) const {
    if (storage(i, 0) != storage_of(i.code)) refuse_this("weights of ", name(storage(i, 0)));
    constant(i, 2, 1, N);
    const Instruction& maker = *maker_[static_cast<size_t>(i.a)];
    const float *w = data(i, 0).data(), *zero = data(maker, 1).data();
    const auto most = static_cast<int64_t>(std::max(std::fabs(maker.p), std::fabs(maker.q)));
    for (int32_t n = 0; n < N; n++, w += K) {
      if (!(std::fabs(data(i, 2)[static_cast<size_t>(n)]) < INFINITY))
        refuse_this("a scale of ", data(i, 2)[static_cast<size_t>(n)]);
      int64_t start = 0, sum = 0;
      for (int32_t k = 0; k < K; k++) {
        start += static_cast<int64_t>(w[k]) * static_cast<int64_t>(zero[k]);
        sum += static_cast<int64_t>(std::fabs(w[k])) * most;
      }
      if (std::abs(start) + sum > INT32_MAX)
        refuse_this("an output, ", n, ", whose sum may reach ", std::abs(start) + sum, ", beyond int32");
    }
  }

  const Program& p_;
  const char* who_;
  size_t at_ = 0;
  std::vector<int32_t> written_;           // elements of each value so far
  std::vector<const Instruction*> maker_;  // of values of integers
};

}  // namespace

const char* name(Code code) { return kNames[static_cast<int>(code)]; }
const char* name(Storage storage) { return kStorageNames[static_cast<int>(storage)]; }
int constants_of(Code code) { return kConstants[static_cast<int>(code)]; }
Storage storage_of(Code code) {
  return code == Code::quantize8 || code == Code::dense8     ? Storage::int8
         : code == Code::quantize16 || code == Code::dense16 ? Storage::int16
                                                             : Storage::float32;
}
bool is_dense(Code code) { return code == Code::dense || code == Code::dense8 || code == Code::dense16; }
bool is_quantize(Code code) { return code == Code::quantize8 || code == Code::quantize16; }
Storage precision(const Program& program) {
  for (const Instruction& i : program.instructions)
    if (is_dense(i.code)) return program.constants[static_cast<size_t>(i.constant[0])].storage;
  return Storage::float32;
}

void fuse(Program& program) {
  std::vector<int> reads(program.width.size(), 0);
  std::vector<size_t> writer(program.width.size(), 0);
  auto& all = program.instructions;
  for (const Instruction& i : all) {
    reads[static_cast<size_t>(i.a)]++;
    if (i.b != kNone) reads[static_cast<size_t>(i.b)]++;
  }
  std::vector<bool> gone(all.size(), false);
  for (size_t k = 0; k < all.size(); k++) {
    const Instruction& i = all[k];
    const auto a = static_cast<size_t>(i.a);
    if (i.code == Code::unary && i.function == id_relu && i.a != 0 && reads[a] == 1) {
      Instruction& maker = all[writer[a]];
      if (maker.code == Code::dense && !maker.relu) {
        maker.relu = true, maker.out = i.out;
        writer[static_cast<size_t>(i.out)] = writer[a];
        gone[k] = true;
        continue;
      }
    }
    writer[static_cast<size_t>(i.out)] = k;
  }
  size_t kept = 0;
  for (size_t k = 0; k < all.size(); k++)
    if (!gone[k]) all[kept++] = all[k];
  all.resize(kept);
}

void validate(const Program& program, const char* who) { Checker(program, who).check(); }

}  // namespace tg::realtime

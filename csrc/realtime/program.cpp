#include "realtime/program.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "math/lane.h"

namespace tg::realtime {
namespace {

constexpr const char* kNames[kCodes] = {"dense",   "unary",       "binary",  "affine", "prelu", "standardize",
                                        "softmax", "log_softmax", "largest", "step",   "copy"};
constexpr int kConstants[kCodes] = {2, 0, 0, 2, 1, 5, 0, 0, 0, 0, 0};
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
      if (c.bfloat16 && !std::all_of(c.data.begin(), c.data.end(), [](float x) { return (bits(x) & 0xffff) == 0; }))
        refuse("a constant of bfloat16 with other numbers");
    }
    written_.assign(p_.width.size(), 0);
    written_[0] = p_.width[0];
    for (at_ = 0; at_ < p_.instructions.size(); at_++) instruction(p_.instructions[at_]);
    const int32_t out = p_.instructions.back().out;
    if (written_[static_cast<size_t>(out)] != width(out)) refuse("an output that is only written in part");
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

  int32_t read(int32_t value) const {
    if (value < 0 || static_cast<size_t>(value) >= p_.width.size()) refuse_this("value ", value, " as input");
    if (written_[static_cast<size_t>(value)] != width(value))
      refuse_this("an input, value ", value, ", not yet written");
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
    if (i.relu && i.code != Code::dense) refuse_this("a relu, which dense alone takes");
    const int32_t a = read(i.a), out = width(i.out);
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
        constant(i, 0, out, a);
        if (i.constant[1] != kNone) constant(i, 1, 1, out);
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
    }
    written = out;
  }

  const Program& p_;
  const char* who_;
  size_t at_ = 0;
  std::vector<int32_t> written_;  // elements of each value so far
};

}  // namespace

const char* name(Code code) { return kNames[static_cast<int>(code)]; }
int constants_of(Code code) { return kConstants[static_cast<int>(code)]; }

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

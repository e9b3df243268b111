#include "realtime/narrow.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/error.h"
#include "math/convert.h"
#include "realtime/predictor.h"

namespace tg::realtime {
namespace {

constexpr const char* kWho = "Predictor";
constexpr double kMostSum = std::numeric_limits<int32_t>::max();
constexpr int64_t kRowsAtOnce = 1024;
// Room beyond what the calibration saw, since what is cut off does more harm than coarse steps: measured on nets of all
// kinds with 100 to 10,000 events (docs/realtime.md).
constexpr double kRoom8 = 1.5, kRoom16 = 4;
constexpr double kLeastRange = 0x1p-100;  // below it features count as constant: the scale stays a normal number

// answers(first row, rows, y) for all events.
template <class Answers>
void answer(const Program& program, const Events& events, Answers answers) {
  Options options;
  options.tiles = true;
  const Predictor predictor(program, *kernel_table(nullptr), options);
  std::vector<float> y(static_cast<size_t>(std::min(events.rows, kRowsAtOnce) * predictor.outputs()));
  for (int64_t first = 0; first < events.rows; first += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, events.rows - first);
    if (predictor.run_rows(events.x + first * predictor.inputs(), rows, y.data()) != rows)
      fail(ErrorKind::Value, "[", kWho, "] a calibration event has a NaN, which this predictor refuses");
    answers(first, rows, y.data());
  }
}

// The least and the greatest of every feature.
struct Range {
  std::vector<double> low, high;

  explicit Range(int32_t width) : low(static_cast<size_t>(width), 0), high(low) {}
  void add(const float* x, int64_t first, int64_t rows, const char* precision) {
    for (int64_t i = 0; i < rows; i++)
      for (size_t k = 0; k < low.size(); k++, x++) {
        if (!std::isfinite(*x))
          fail(ErrorKind::Value, "[", kWho, "] calibration event ", first + i, " gives a dense layer ", *x,
               ", for which ", precision, " has no range; calibrate on events whose features are finite");
        low[k] = std::min(low[k], static_cast<double>(*x));  // both begin at 0, which is thus an integer
        high[k] = std::max(high[k], static_cast<double>(*x));
      }
  }
  void join() {
    std::fill(low.begin(), low.end(), *std::min_element(low.begin(), low.end()));
    std::fill(high.begin(), high.end(), *std::max_element(high.begin(), high.end()));
  }
};

// Features that were constant have the range of the widest: should they ever vary, it is most likely right.
std::vector<double> without_gaps(std::vector<double> spread) {
  const double most = *std::max_element(spread.begin(), spread.end());
  for (double& s : spread)
    if (s < kLeastRange) s = most < kLeastRange ? 1 : most;
  return spread;
}

struct Weights {
  std::vector<float> integers;  // (N, K)
  std::vector<double> unit;     // (N): what an integer stands for, where features are scaled to 1
  double most = 0;              // the greatest integer that they can be multiplied with
};

class Narrower {
 public:
  Narrower(const Program& program, Storage precision, const Events& events)
      : p_(program), precision_(precision), events_(events), eight_(precision == Storage::int8) {}

  Program made() {
    mixed_.assign(p_.width.size(), false);
    for (const Instruction& i : p_.instructions) {
      if (i.code == Code::dense) take_weights(i);
      const bool other = i.b != kNone && mixed_[static_cast<size_t>(i.b)];
      if (i.code == Code::dense || mixed_[static_cast<size_t>(i.a)] || other) mixed_[static_cast<size_t>(i.out)] = true;
    }
    made_.width = p_.width;
    made_.refuse_nan = p_.refuse_nan;
    for (const Instruction& i : p_.instructions) add(i);
    return std::move(made_);
  }

 private:
  const Constant& constant(const Instruction& i, int k) const {
    return p_.constants[static_cast<size_t>(i.constant[k])];
  }

  // What dense layers read.
  struct Row {
    std::vector<double> spread, zero;
    std::map<double, int32_t> integers;  // the greatest integer -> the value that holds them
  };
  Row& row(int32_t value) {
    const auto [found, is_new] = rows_.try_emplace(value);
    Row& r = found->second;
    if (!is_new) return r;
    const auto width = static_cast<size_t>(p_.width[static_cast<size_t>(value)]);
    Range range(static_cast<int32_t>(width));
    if (value == 0) {
      range.add(events_.x, 0, events_.rows, name(precision_));
    } else {
      Program before = p_;
      while (before.instructions.back().out != value) before.instructions.pop_back();
      before.refuse_nan = false;
      answer(before, events_,
             [&](int64_t first, int64_t rows, const float* y) { range.add(y, first, rows, name(precision_)); });
    }
    // The event's features may be of any size each; what dense layers made is of one kind, and few features say more.
    if (mixed_[static_cast<size_t>(value)]) range.join();
    r.spread.resize(width), r.zero.resize(width, 0);
    for (size_t k = 0; k < width; k++)
      r.spread[k] = eight_ ? kRoom8 * (range.high[k] - range.low[k]) : kRoom16 * std::max(-range.low[k], range.high[k]);
    r.spread = without_gaps(std::move(r.spread));
    if (eight_)
      for (size_t k = 0; k < width; k++)
        r.zero[k] = std::clamp(std::nearbyint(kRoom8 * range.low[k] * -255 / r.spread[k]) + 0.0, 0.0, 255.0);  // no -0
    return r;
  }

  // Weights of features that are scaled to `spread`, in integers that no sum can be too large for.
  void take_weights(const Instruction& i) {
    const Row& r = row(i.a);
    const Constant& w = constant(i, 0);
    const auto N = static_cast<size_t>(w.rows), K = static_cast<size_t>(w.columns);
    std::vector<double> scaled(N * K), most(N, 0);
    double ratio = 1;
    for (size_t n = 0; n < N; n++) {
      double sum = 0;
      for (size_t k = 0; k < K; k++) {
        const double v = w.data[n * K + k] * r.spread[k];
        if (!std::isfinite(v))
          fail(ErrorKind::Value, "[", kWho, "] a dense layer has the weight ", w.data[n * K + k], ", which ",
               name(precision_), " cannot hold");
        scaled[n * K + k] = v;
        sum += std::fabs(v), most[n] = std::max(most[n], std::fabs(v));
      }
      if (most[n] > 0) ratio = std::max(ratio, sum / most[n]);
    }
    // int8: an integer of the row and its zero are at most 255 each, and rounding adds a half to each weight at most.
    // int16: weights and the row's integers get as many steps as each other.
    const double steps = std::floor(eight_ ? std::min(127.0, (kMostSum / 510 - 0.5 * static_cast<double>(K)) / ratio)
                                           : std::min(32767.0, std::sqrt(kMostSum / ratio)));
    Weights& made = weights_[i.out];
    double largest_sum = 0;
    for (size_t n = 0; n < N; n++) {
      double sum = 0;
      for (size_t k = 0; k < K; k++) {
        const double integer = most[n] > 0 ? std::nearbyint(scaled[n * K + k] / most[n] * steps) + 0.0 : 0;  // no -0
        made.integers.push_back(static_cast<float>(integer));
        sum += std::fabs(integer);
      }
      made.unit.push_back(most[n] / steps);
      largest_sum = std::max(largest_sum, sum);
    }
    made.most = eight_ ? 255 : std::min(32767.0, std::floor(kMostSum / std::max(largest_sum, 1.0)));
  }

  int32_t keep(Constant c) {
    made_.constants.push_back(std::move(c));
    return static_cast<int32_t>(made_.constants.size()) - 1;
  }
  template <class Number>
  int32_t vector(size_t count, Number number) {
    Constant c{1, static_cast<int32_t>(count), {}};
    for (size_t k = 0; k < count; k++) c.data.push_back(static_cast<float>(number(k)));
    return keep(std::move(c));
  }

  void add(Instruction i) {
    if (i.code != Code::dense) {
      for (int k = 0; k < constants_of(i.code); k++)
        if (i.constant[k] != kNone) i.constant[k] = keep(constant(i, k));
      made_.instructions.push_back(i);
      return;
    }
    const Weights& w = weights_.at(i.out);
    Row& r = row(i.a);
    const auto [integers, is_new] = r.integers.try_emplace(w.most, static_cast<int32_t>(made_.width.size()));
    if (is_new) {
      Instruction q;
      q.code = eight_ ? Code::quantize8 : Code::quantize16;
      q.a = i.a, q.out = integers->second;
      made_.width.push_back(p_.width[static_cast<size_t>(i.a)]);
      q.p = static_cast<float>(eight_ ? 0 : -w.most), q.q = static_cast<float>(w.most);
      q.constant[0] = vector(r.spread.size(), [&](size_t k) { return w.most / r.spread[k]; });
      q.constant[1] = vector(r.zero.size(), [&](size_t k) { return r.zero[k]; });
      made_.instructions.push_back(q);
    }
    const Constant& given = constant(i, 0);
    const int32_t bias = i.constant[1];
    i.code = eight_ ? Code::dense8 : Code::dense16;
    i.a = integers->second;
    i.constant[0] = keep({given.rows, given.columns, w.integers, precision_});
    if (bias != kNone) i.constant[1] = keep(p_.constants[static_cast<size_t>(bias)]);
    i.constant[2] = vector(w.unit.size(), [&](size_t n) { return w.unit[n] / w.most; });
    made_.instructions.push_back(i);
  }

  const Program& p_;
  const Storage precision_;
  const Events& events_;
  const bool eight_;
  Program made_;
  std::vector<bool> mixed_;  // is a value made by dense layers?
  std::map<int32_t, Row> rows_;
  std::map<int32_t, Weights> weights_;  // by the layer's output
};

Program rounded(Program program) {
  for (const Instruction& i : program.instructions) {
    if (i.code != Code::dense) continue;
    Constant& w = program.constants[static_cast<size_t>(i.constant[0])];
    w.storage = Storage::bfloat16;
    for (float& x : w.data) x = bfloat_to_float(float_to_bfloat(x));
  }
  return program;
}

}  // namespace

Program narrowed(const Program& program, Storage precision, const Events& calibration) {
  if (precision == Storage::float32) return program;
  if (precision == Storage::bfloat16) return rounded(program);
  if (calibration.rows < 1)
    fail(ErrorKind::Value, "[", kWho, "] precision ", name(precision),
         " needs calibration=X, typical events of shape (N, ", program.inputs(),
         "): they say what range each number has");
  return Narrower(program, precision, calibration).made();
}

Difference difference(const Program& a, const Program& b, const Events& events) {
  std::vector<float> all[2];
  for (const Program* p : {&a, &b})
    answer(*p, events, [&](int64_t, int64_t rows, const float* y) {
      all[p == &b].insert(all[p == &b].end(), y, y + rows * p->outputs());
    });
  Difference found;
  double sum = 0;
  for (size_t k = 0; k < all[0].size(); k++) {
    const double y = all[0][k], z = all[1][k];
    if (y == z || (std::isnan(y) && std::isnan(z))) continue;
    sum += (y - z) * (y - z);
    if (!(std::fabs(y - z) <= found.largest) && !std::isnan(found.largest)) found.largest = std::fabs(y - z);
  }
  found.rms = std::sqrt(sum / static_cast<double>(all[0].size()));
  return found;
}

}  // namespace tg::realtime

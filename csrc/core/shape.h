// Shapes, strides and axis lists: at most eight integers, no allocation.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/error.h"

namespace tg {

inline constexpr int kMaxRank = 8;

class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) {
    for (int64_t v : values) push_back(v);
  }
  Dims(const int64_t* values, int n) {
    for (int i = 0; i < n; i++) push_back(values[i]);
  }
  static Dims filled(int n, int64_t value) {
    Dims d;
    for (int i = 0; i < n; i++) d.push_back(value);
    return d;
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t& operator[](int i) { return values_[i]; }
  int64_t operator[](int i) const { return values_[i]; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }
  int64_t* begin() { return values_; }
  int64_t* end() { return values_ + size_; }
  int64_t back() const { return values_[size_ - 1]; }
  int64_t& back() { return values_[size_ - 1]; }
  void push_back(int64_t v) {
    if (size_ == kMaxRank) fail(ErrorKind::Value, "a tensor has at most ", kMaxRank, " dimensions");
    values_[size_++] = v;
  }
  void insert(int at, int64_t v) {
    push_back(0);
    for (int i = size_ - 1; i > at; i--) values_[i] = values_[i - 1];
    values_[at] = v;
  }
  void erase(int at) {
    for (int i = at; i + 1 < size_; i++) values_[i] = values_[i + 1];
    size_--;
  }
  bool operator==(const Dims& o) const {
    if (size_ != o.size_) return false;
    for (int i = 0; i < size_; i++)
      if (values_[i] != o.values_[i]) return false;
    return true;
  }

 private:
  int size_ = 0;
  int64_t values_[kMaxRank] = {};
};

std::string to_string(const Dims& d);  // "(64, 12)", "(5,)", "()"
inline std::ostream& operator<<(std::ostream& s, const Dims& d) { return s << to_string(d); }

// Product of the lengths; throws Runtime/Memory errors on negative lengths and where it overflows int64 but for a 0.
int64_t count(const Dims& shape);
Dims contiguous_strides(const Dims& shape);

// PyTorch's broadcasting. `op` names the caller in the error.
Dims broadcast(const char* op, const Dims& a, const Dims& b);

// -rank <= axis < rank, returned in 0..rank-1; a 0-d tensor accepts -1 and 0.
int normalize_axis(const char* op, int64_t axis, int rank);

}  // namespace tg

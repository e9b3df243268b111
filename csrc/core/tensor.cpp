#include "core/tensor.h"

#include <algorithm>

#include "math/convert.h"

namespace tg {

std::shared_ptr<const Derived> Storage::derived(uint64_t key) const {
  if (derived_lock_.test_and_set(std::memory_order_acquire)) return nullptr;  // busy, or left so by a fork: a miss
  std::shared_ptr<const Derived> block;
  if (derived_ && derived_key_ == key && derived_version_ == version()) block = derived_;
  derived_lock_.clear(std::memory_order_release);
  return block;
}

void Storage::set_derived(uint64_t key, uint64_t version, std::shared_ptr<const Derived> block) {
  if (derived_lock_.test_and_set(std::memory_order_acquire)) return;
  derived_.swap(block);
  derived_key_ = key;
  derived_version_ = version;
  derived_lock_.clear(std::memory_order_release);
}  // the old block dies here, outside the lock

int64_t Tensor::numel() const {
  int64_t n = 1;
  for (int64_t v : shape) n *= v;
  return n;
}

bool Tensor::contiguous() const {
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; i--) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

constinit thread_local uint64_t next_birth = 0;

Tensor empty(const Dims& shape, Dtype dtype, Place place) {
  int64_t bytes;
  if (__builtin_mul_overflow(count(shape), size_of(dtype), &bytes))
    fail(ErrorKind::Memory, "shape ", shape, " of ", name(dtype), " needs more bytes than a 64-bit integer can count");
  Tensor t;
  t.storage = StorageRef(new Storage(static_cast<size_t>(bytes), place));
  t.shape = shape;
  t.strides = contiguous_strides(shape);
  t.dtype = dtype;
  return t;
}

namespace {
template <class V>
Tensor make_scalar(V value, Dtype dtype) {
  Tensor t = empty({}, dtype);
  switch (dtype) {
    case Dtype::Float32: *t.data<float>() = static_cast<float>(value); break;
    case Dtype::Float64: *t.data<double>() = static_cast<double>(value); break;
    case Dtype::Int64: *t.data<int64_t>() = static_cast<int64_t>(value); break;
    case Dtype::Int32: *t.data<int32_t>() = static_cast<int32_t>(value); break;
    case Dtype::UInt8: *t.data<uint8_t>() = static_cast<uint8_t>(static_cast<int64_t>(value)); break;
    case Dtype::Bool: *t.data<uint8_t>() = value != V(0); break;
    case Dtype::Int8: *t.data<int8_t>() = static_cast<int8_t>(static_cast<int64_t>(value)); break;
    case Dtype::Int16: *t.data<int16_t>() = static_cast<int16_t>(static_cast<int64_t>(value)); break;
    case Dtype::UInt16: *t.data<uint16_t>() = static_cast<uint16_t>(static_cast<int64_t>(value)); break;
    case Dtype::UInt32: *t.data<uint32_t>() = static_cast<uint32_t>(static_cast<int64_t>(value)); break;
    case Dtype::Float16: *t.data<uint16_t>() = float_to_half(static_cast<double>(value)); break;
    case Dtype::BFloat16: *t.data<uint16_t>() = float_to_bfloat(static_cast<double>(value)); break;
  }
  return t;
}
}  // namespace

Tensor scalar(double value, Dtype dtype) { return make_scalar(value, dtype); }
Tensor scalar(int64_t value, Dtype dtype) { return make_scalar(value, dtype); }

Tensor as_strided(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset) {
  count(shape);  // no tensor has a shape whose lengths do not multiply
  Tensor v = t;
  v.shape = shape;
  v.strides = strides;
  v.offset = offset;
  v.number = false;
  return v;
}

Tensor expand(const char* op, const Tensor& t, const Dims& target) {
  if (target.size() < t.rank())
    fail(ErrorKind::Runtime, "[", op, "] cannot expand ", t.shape, " to ", target,
         ": fewer dimensions than the tensor");
  Dims shape = target, strides = Dims::filled(target.size(), 0);
  const int lead = target.size() - t.rank();
  for (int i = 0; i < target.size(); i++) {
    const bool old = i >= lead;
    if (shape[i] == -1) {
      if (!old) fail(ErrorKind::Runtime, "[", op, "] -1 in ", target, " stands for an axis that ", t.shape, " lacks");
      shape[i] = t.shape[i - lead];
    }
    if (!old) continue;
    const int64_t have = t.shape[i - lead];
    if (have == shape[i]) strides[i] = t.strides[i - lead];
    else if (have != 1)
      fail(ErrorKind::Runtime, "[", op, "] cannot expand ", t.shape, " to ", target, ": dimension ", i, " has length ",
           have, ", expected ", shape[i], " or 1");
  }
  return as_strided(t, shape, strides, t.offset);
}

Tensor permute(const char* op, const Tensor& t, const Dims& order) {
  if (order.size() != t.rank())
    fail(ErrorKind::Runtime, "[", op, "] got ", order.size(), " dims for a tensor of ", t.rank(), " dimensions");
  Dims shape = t.shape, strides = t.strides;
  unsigned seen = 0;
  for (int i = 0; i < order.size(); i++) {
    const int from = normalize_axis(op, order[i], t.rank());
    if (seen >> from & 1) fail(ErrorKind::Runtime, "[", op, "] dim ", from, " appears twice in ", order);
    seen |= 1u << from;
    shape[i] = t.shape[from];
    strides[i] = t.strides[from];
  }
  return as_strided(t, shape, strides, t.offset);
}

Tensor transpose(const char* op, const Tensor& t, int64_t a, int64_t b) {
  const int i = normalize_axis(op, a, t.rank()), j = normalize_axis(op, b, t.rank());
  if (t.rank() == 0) return t;
  Dims shape = t.shape, strides = t.strides;
  std::swap(shape[i], shape[j]);
  std::swap(strides[i], strides[j]);
  return as_strided(t, shape, strides, t.offset);
}

Tensor squeeze(const char* op, const Tensor& t, const Dims* axes) {
  unsigned drop = 0, seen = 0;
  if (axes)
    for (int64_t a : *axes) {
      const int i = normalize_axis(op, a, t.rank());
      if (seen >> i & 1) fail(ErrorKind::Runtime, "[", op, "] dim ", i, " appears twice in ", *axes);
      seen |= 1u << i;
      if (t.rank() && t.shape[i] == 1) drop |= 1u << i;
    }
  else
    for (int i = 0; i < t.rank(); i++)
      if (t.shape[i] == 1) drop |= 1u << i;
  Dims shape, strides;
  for (int i = 0; i < t.rank(); i++)
    if (!(drop >> i & 1)) {
      shape.push_back(t.shape[i]);
      strides.push_back(t.strides[i]);
    }
  return as_strided(t, shape, strides, t.offset);
}

Tensor unsqueeze(const char* op, const Tensor& t, int64_t axis) {
  const int at = normalize_axis(op, axis, t.rank() + 1);
  Dims shape = t.shape, strides = t.strides;
  const int64_t stride = at < t.rank() ? t.shape[at] * t.strides[at] : 1;
  shape.insert(at, 1);
  strides.insert(at, stride);
  return as_strided(t, shape, strides, t.offset);
}

Tensor slice(const char* op, const Tensor& t, int64_t axis, int64_t start, int64_t length, int64_t step) {
  const int i = normalize_axis(op, axis, t.rank());
  if (t.rank() == 0) fail(ErrorKind::Index, "[", op, "] a 0-d tensor cannot be sliced");
  const int64_t last = start + (length - 1) * step;
  if (length < 0 || (length > 0 && (start < 0 || start >= t.shape[i] || last < 0 || last >= t.shape[i])))
    fail(ErrorKind::Index, "[", op, "] start ", start, ", length ", length, ", step ", step, " leave dimension ", i,
         " of length ", t.shape[i]);
  Dims shape = t.shape, strides = t.strides;
  shape[i] = length;
  // A step that leads beyond all memory takes one element, whose stride does not matter.
  if (__builtin_mul_overflow(t.strides[i], step, &strides[i])) strides[i] = t.strides[i];
  return as_strided(t, shape, strides, t.offset + (length ? start * t.strides[i] : 0));
}

Tensor select(const char* op, const Tensor& t, int64_t axis, int64_t index) {
  if (t.rank() == 0) fail(ErrorKind::Index, "[", op, "] a 0-d tensor has no dimension to index; use .item()");
  const int i = normalize_axis(op, axis, t.rank());
  const int64_t n = t.shape[i];
  if (index < -n || index >= n)
    fail(ErrorKind::Index, "[", op, "] index ", index, " is out of range for dimension ", i, " of length ", n);
  Dims shape = t.shape, strides = t.strides;
  const int64_t offset = t.offset + (index < 0 ? index + n : index) * t.strides[i];
  shape.erase(i);
  strides.erase(i);
  return as_strided(t, shape, strides, offset);
}

Tensor narrow(const char* op, const Tensor& t, int64_t axis, int64_t start, int64_t length) {
  if (t.rank() == 0) fail(ErrorKind::Runtime, "[", op, "] a 0-d tensor cannot be narrowed");
  const int i = normalize_axis(op, axis, t.rank());
  const int64_t n = t.shape[i], first = start < 0 ? start + n : start;
  if (start < -n || start > n)
    fail(ErrorKind::Index, "[", op, "] start ", start, " is out of range for dimension ", i, " of length ", n,
         ", expected ", -n, " to ", n);
  if (length < 0 || length > n - first)
    fail(ErrorKind::Runtime, "[", op, "] start ", start, " and length ", length, " leave dimension ", i, " of length ",
         n, ", expected a length of 0 to ", n - first);
  return slice(op, t, i, first, length, 1);
}

Tensor movedim(const char* op, const Tensor& t, const Dims& from, const Dims& to) {
  if (from.size() != to.size())
    fail(ErrorKind::Runtime, "[", op, "] source ", from, " and destination ", to, ", expected equally many dims");
  constexpr int64_t nothing = -1;
  Dims order = Dims::filled(t.rank(), nothing);
  unsigned moved = 0;
  for (int k = 0; k < from.size(); k++) {
    const int source = normalize_axis(op, from[k], t.rank()), place = normalize_axis(op, to[k], t.rank());
    if (t.rank() == 0) continue;
    if (moved >> source & 1 || order[place] != nothing)
      fail(ErrorKind::Runtime, "[", op, "] a dim appears twice: source ", from, ", destination ", to);
    moved |= 1u << source;
    order[place] = source;
  }
  int next = 0;
  for (int64_t& axis : order) {
    if (axis != nothing) continue;
    while (moved >> next & 1) next++;
    axis = next++;
  }
  return permute(op, t, order);
}

Tensor diagonal(const char* op, const Tensor& t, int64_t offset, int64_t axis1, int64_t axis2) {
  if (t.rank() < 2) fail(ErrorKind::Index, "[", op, "] got shape ", t.shape, ", expected at least 2 dimensions");
  const int i = normalize_axis(op, axis1, t.rank()), j = normalize_axis(op, axis2, t.rank());
  if (i == j) fail(ErrorKind::Runtime, "[", op, "] dim1 and dim2 are both ", i, ", expected two dimensions");
  const int64_t below = offset < 0 ? (offset < -t.shape[i] ? t.shape[i] : -offset) : 0;
  const int64_t right = offset > 0 ? std::min(offset, t.shape[j]) : 0;
  const int64_t length = std::min(t.shape[i] - below, t.shape[j] - right);
  const int64_t start = length > 0 ? below * t.strides[i] + right * t.strides[j] : 0;
  Dims shape = t.shape, strides = t.strides;
  shape.push_back(length);
  strides.push_back(t.strides[i] + t.strides[j]);
  for (int axis : {std::max(i, j), std::min(i, j)}) {
    shape.erase(axis);
    strides.erase(axis);
  }
  return as_strided(t, shape, strides, t.offset + start);
}

Tensor unfold(const char* op, const Tensor& t, int64_t axis, int64_t size, int64_t step) {
  const int i = normalize_axis(op, axis, t.rank());
  const int64_t n = t.rank() ? t.shape[i] : 1;
  if (size < 0 || size > n)
    fail(ErrorKind::Runtime, "[", op, "] size is ", size, ", expected 0 to ", n, ", the length of dimension ", i);
  if (step < 1) fail(ErrorKind::Runtime, "[", op, "] step is ", step, ", expected 1 or more");
  Dims shape = t.shape, strides = t.strides;
  shape.push_back(size);
  strides.push_back(t.rank() ? t.strides[i] : 1);
  if (t.rank()) {
    shape[i] = (n - size) / step + 1;
    strides[i] = shape[i] > 1 ? t.strides[i] * step : t.strides[i];
  }
  return as_strided(t, shape, strides, t.offset);
}

Tensor strided_view(const char* op, const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset) {
  if (shape.size() != strides.size())
    fail(ErrorKind::Runtime, "[", op, "] size ", shape, " and stride ", strides, ", expected equally many entries");
  const int64_t held = static_cast<int64_t>(t.storage->bytes()) / size_of(t.dtype);
  int64_t low = offset, high = offset;
  bool overflow = false;
  for (int i = 0; i < shape.size() && count(shape) > 0; i++) {
    int64_t reach;
    int64_t& end = strides[i] < 0 ? low : high;
    overflow |= __builtin_mul_overflow(shape[i] - 1, strides[i], &reach) || __builtin_add_overflow(end, reach, &end);
  }
  if (overflow || low < 0 || (high >= held && count(shape) > 0))
    fail(ErrorKind::Runtime, "[", op, "] size ", shape, ", stride ", strides, " and storage_offset ", offset,
         " leave the storage, expected places 0 to ", held - 1);
  return as_strided(t, shape, strides, offset);
}

Tensor try_view(const char* op, const Tensor& t, Dims shape) {
  const int64_t total = t.numel();
  int wild = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.size(); i++) {
    if (shape[i] == -1) {
      if (wild >= 0) fail(ErrorKind::Runtime, "[", op, "] only one length of ", shape, " may be -1");
      wild = i;
    } else if (shape[i] < 0) {
      fail(ErrorKind::Runtime, "[", op, "] shape ", shape, " has a negative length");
    } else if (__builtin_mul_overflow(known, shape[i], &known)) {
      fail(ErrorKind::Runtime, "[", op, "] shape ", shape, " does not fit ", total, " elements");
    }
  }
  if (wild >= 0) {
    if (known == 0 || total % known)
      fail(ErrorKind::Runtime, "[", op, "] shape ", shape, " does not fit the ", total, " elements of ", t.shape);
    shape[wild] = total / known;
  } else if (known != total) {
    fail(ErrorKind::Runtime, "[", op, "] shape ", shape, " does not fit the ", total, " elements of ", t.shape);
  }
  if (total == 0) return as_strided(t, shape, contiguous_strides(shape), t.offset);
  // Walk both shapes from the right: each run of old axes that is contiguous in itself may be cut anew.
  Dims strides = Dims::filled(shape.size(), 1);
  int j = shape.size() - 1;
  int64_t run = 1, cut = 1, base = t.rank() ? t.strides.back() : 1;
  for (int i = t.rank() - 1; i >= 0; i--) {
    run *= t.shape[i];
    const bool ends = i == 0 || (t.shape[i - 1] != 1 && t.strides[i - 1] != run * base);
    if (!ends) continue;
    while (j >= 0 && (cut < run || shape[j] == 1)) {
      strides[j] = cut * base;
      cut *= shape[j];
      j--;
    }
    if (cut != run) return Tensor{};
    if (i > 0) {
      base = t.strides[i - 1];
      run = cut = 1;
    }
  }
  for (; j >= 0; j--) strides[j] = cut * base;  // leading axes of length 1
  return as_strided(t, shape, strides, t.offset);
}

Bytes extent(const Tensor& t) {
  int64_t low = t.offset, high = t.offset;
  for (int i = 0; i < t.rank(); i++) {
    if (t.shape[i] == 0) return {};
    const int64_t reach = (t.shape[i] - 1) * t.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  return {t.storage->data() + low * size_of(t.dtype), t.storage->data() + (high + 1) * size_of(t.dtype)};
}

bool overlaps(const Tensor& a, const Tensor& b) {
  const Bytes x = extent(a), y = extent(b);
  return x.first < y.end && y.first < x.end;
}

bool same_view(const Tensor& a, const Tensor& b) {
  if (a.data() != b.data() || a.dtype != b.dtype || !(a.shape == b.shape)) return false;
  for (int i = 0; i < a.rank(); i++)
    if (a.shape[i] > 1 && a.strides[i] != b.strides[i]) return false;
  return true;
}

bool self_overlaps(const Tensor& t) {
  // Sort axes by stride; each must step over everything that the smaller ones span.
  Dims order = Dims::filled(t.rank(), 0);
  for (int i = 0; i < t.rank(); i++) {
    if (t.shape[i] == 0) return false;
    order[i] = i;
  }
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return std::abs(t.strides[static_cast<int>(a)]) < std::abs(t.strides[static_cast<int>(b)]);
  });
  int64_t span = 0;
  for (int64_t axis : order) {
    const int i = static_cast<int>(axis);
    if (t.shape[i] == 1) continue;
    if (std::abs(t.strides[i]) <= span) return true;
    span += (t.shape[i] - 1) * std::abs(t.strides[i]);
  }
  return false;
}

}  // namespace tg

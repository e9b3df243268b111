// core/: dtypes, halves, shapes, views and memory, each against a truth worked out another way.
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "check.h"
#include "core/dtype.h"
#include "math/convert.h"
#include "core/memory.h"
#include "core/tensor.h"

using namespace tg;

// ---- halves: every bit pattern, and every point halfway between two neighbours

static double value_of(uint16_t bits, int mantissa, int bias) {
  const int exponent = (bits & 0x7fff) >> mantissa, fraction = bits & ((1 << mantissa) - 1);
  const double magnitude = exponent == 0 ? std::ldexp(fraction, 1 - bias - mantissa)
                                         : std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
  return bits & 0x8000 ? -magnitude : magnitude;
}

static void check_half_format(int mantissa, int bias, float (*widen)(uint16_t), uint16_t (*narrow)(double)) {
  const uint16_t inf = static_cast<uint16_t>(((1 << (15 - mantissa)) - 1) << mantissa);
  for (uint16_t h = 0; h < inf; h++) {
    const double here = value_of(h, mantissa, bias);
    CHECK_BITS(static_cast<double>(widen(h)), here);
    CHECK_EQ(narrow(here), h);
    CHECK_EQ(narrow(-here), h | 0x8000);
    // The upper neighbour of the largest number is where the format would go on: from halfway there, infinity.
    const double above = value_of(h + 1, mantissa, bias), middle = (here + above) / 2;
    CHECK_EQ(narrow(middle), h & 1 ? h + 1 : h);
    CHECK_EQ(narrow(std::nextafter(middle, above)), h + 1);
    CHECK_EQ(narrow(std::nextafter(middle, here)), h);
  }
  CHECK_BITS(widen(inf), INFINITY);
  CHECK_BITS(widen(inf | 0x8000), -INFINITY);
  CHECK(std::isnan(widen(inf + 1)));
  CHECK(std::isnan(widen(narrow(NAN))));
  CHECK_EQ(narrow(INFINITY), inf);
  CHECK_EQ(narrow(1e300), inf);
  CHECK_EQ(narrow(-1e-300), 0x8000);
  CHECK_EQ(narrow(-5e-324), 0x8000);
}
static void float16_widens_and_narrows() { check_half_format(10, 15, half_to_float, float_to_half); }
static void bfloat16_widens_and_narrows() { check_half_format(7, 127, bfloat_to_float, float_to_bfloat); }

// ---- dtypes

static void promotion_is_a_lattice() {
  for (int i = 0; i < kDtypes; i++)
    for (int j = 0; j < kDtypes; j++) {
      const Dtype a = static_cast<Dtype>(i), b = static_cast<Dtype>(j), both = promote(a, b);
      CHECK(both == promote(b, a));
      CHECK(i != j || both == a);
      CHECK(category(both) >= category(a) && category(both) >= category(b));
      CHECK(promote(both, a) == both && promote(both, b) == both);
    }
  CHECK(promote(Dtype::UInt8, Dtype::Int8) == Dtype::Int16);
  CHECK(promote(Dtype::Int64, Dtype::Float16) == Dtype::Float16);
  CHECK(promote(Dtype::Float16, Dtype::BFloat16) == Dtype::Float32);
  CHECK(promote(Dtype::Bool, Dtype::UInt8) == Dtype::UInt8);
}

// ---- shapes

static void counts_do_not_overflow() {
  CHECK_EQ(count({}), 1);
  CHECK_EQ(count({3, 4, 5}), 60);
  CHECK_EQ(count({int64_t{1} << 31, 0, int64_t{1} << 31}), 0);
  CHECK_THROWS(count({int64_t{1} << 62, 0, int64_t{1} << 62}), Error, "more elements than a 64-bit integer");
  CHECK_THROWS(count({int64_t{1} << 32, int64_t{1} << 32}), Error, "more elements than a 64-bit integer");
  CHECK_THROWS(count({2, -1}), Error, "cannot be negative");
  CHECK_THROWS(empty({int64_t{1} << 61}, Dtype::Float64), Error, "more bytes than");
  CHECK_THROWS(empty({int64_t{1} << 50}, Dtype::Float32), Error, "cannot allocate");
  CHECK_THROWS(Dims::filled(9, 1), Error, "at most 8 dimensions");
}

static void broadcasting() {
  CHECK_EQ(broadcast("add", {4, 1, 3}, {5, 1}), (Dims{4, 5, 3}));
  CHECK_EQ(broadcast("add", {}, {2, 0}), (Dims{2, 0}));
  CHECK_EQ(broadcast("add", {1, 7}, {0, 1}), (Dims{0, 7}));
  CHECK_THROWS(broadcast("add", {2, 3}, {2, 4}), Error, "[add] shapes (2, 3) and (2, 4) cannot be broadcast");
  CHECK_THROWS(broadcast("add", {0}, {2}), Error, "got 0 and 2");
  CHECK_EQ(to_string({5}), "(5,)");
}

static void axes_count_from_both_ends() {
  CHECK_EQ(normalize_axis("sum", -1, 3), 2);
  CHECK_EQ(normalize_axis("sum", 0, 0), 0);
  CHECK_EQ(normalize_axis("sum", -1, 0), 0);
  CHECK_THROWS(normalize_axis("sum", 3, 3), Error, "[sum] dim 3 is out of range: expected -3 to 2");
  CHECK_THROWS(normalize_axis("sum", -4, 3), Error, "out of range");
}

// ---- views: the elements in logical order, read through the strides one by one

static std::vector<int64_t> offsets(const Tensor& t) {
  std::vector<int64_t> all;
  if (t.numel() == 0) return all;
  Dims index = Dims::filled(t.rank(), 0);
  for (;;) {
    int64_t at = t.offset;
    for (int i = 0; i < t.rank(); i++) at += index[i] * t.strides[i];
    all.push_back(at);
    int axis = t.rank() - 1;
    while (axis >= 0 && ++index[axis] == t.shape[axis]) index[axis--] = 0;
    if (axis < 0) return all;
  }
}

static void views_address_the_right_elements() {
  const Tensor t = empty({2, 3, 4}, Dtype::Float32);
  CHECK(t.contiguous());
  CHECK_EQ(offsets(t).back(), 23);
  CHECK((offsets(transpose("transpose", select("select", t, 0, 1), 0, 1)) ==
         std::vector<int64_t>{12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23}));
  const Tensor backwards = slice("slice", t, -1, 3, 4, -1);
  CHECK((offsets(select("select", select("select", backwards, 0, 0), 0, -1)) == std::vector<int64_t>{11, 10, 9, 8}));
  CHECK(!backwards.contiguous());
  CHECK_EQ(slice("slice", t, 1, 2, 0, 5).shape, (Dims{2, 0, 4}));
  const Tensor wide = expand("expand", unsqueeze("unsqueeze", select("select", t, 2, 0), 0), {5, -1, 3});
  CHECK_EQ(wide.shape, (Dims{5, 2, 3}));
  CHECK_EQ(offsets(wide)[7], 4);
  CHECK(self_overlaps(wide));
  CHECK(!self_overlaps(backwards));
  const Tensor row = slice("slice", t, 0, 0, 1, 1);
  CHECK_EQ(squeeze("squeeze", row, nullptr).shape, (Dims{3, 4}));
  const Dims first{0}, second{1};
  CHECK_EQ(squeeze("squeeze", row, &first).shape, (Dims{3, 4}));
  CHECK_EQ(squeeze("squeeze", row, &second).shape, (Dims{1, 3, 4}));
  CHECK_THROWS(select("select", t, 0, 2), Error, "[select] index 2 is out of range for dimension 0 of length 2");
  CHECK_THROWS(slice("slice", t, 0, 1, 2, 1), Error, "leave dimension 0");
  CHECK_THROWS(permute("permute", t, {0, 0, 1}), Error, "appears twice");
  CHECK_THROWS(expand("expand", t, {2, 3, 5}), Error, "dimension 2 has length 4, expected 5 or 1");
}

// A random view of a block: permuted, sliced with steps of either sign, some axes of length 1 or 0.
static Tensor random_view(std::mt19937& random) {
  auto below = [&](int n) { return static_cast<int64_t>(random() % static_cast<unsigned>(n)); };
  Dims shape;
  for (int64_t i = below(5); i > 0; i--) shape.push_back(1 + below(4));
  Tensor t = empty(shape, Dtype::UInt8);
  Dims order;
  for (int i = 0; i < t.rank(); i++) order.insert(static_cast<int>(below(i + 1)), i);
  t = permute("permute", t, order);
  for (int i = 0; i < t.rank(); i++) {
    const int64_t length = t.shape[i];
    if (below(4) == 0) t = slice("slice", t, i, length - 1, length, -1);
    else if (below(4) == 0) t = slice("slice", t, i, 0, (length + 1) / 2, 2);
    else if (below(9) == 0) t = slice("slice", t, i, 0, 0, 1);
  }
  return t;
}

static void reshaped_views_keep_the_order_of_elements() {
  std::mt19937 random(1);
  int views = 0, copies = 0;
  for (int round = 0; round < 20000; round++) {
    const Tensor t = random_view(random);
    Dims shape;
    int64_t rest = t.numel();
    while (rest > 1 && shape.size() < 6) {
      int64_t factor = 1 + static_cast<int64_t>(random() % 6);
      if (rest % factor) continue;
      shape.push_back(factor);
      rest /= factor;
    }
    shape.push_back(random() % 2 || t.numel() == 0 ? rest : -1);
    const Tensor v = try_view("view", t, shape);
    if (!v.defined()) {
      copies++;
      CHECK(!t.contiguous());
      continue;
    }
    views++;
    CHECK_EQ(v.numel(), t.numel());
    CHECK(offsets(v) == offsets(t));
    CHECK(v.storage == t.storage);
  }
  CHECK(views > 1000 && copies > 1000);
  const Tensor t = empty({4, 6}, Dtype::Float32);
  CHECK(try_view("view", slice("slice", t, 0, 0, 2, 2), {2, 2, 3}).defined());
  CHECK(!try_view("view", transpose("transpose", t, 0, 1), {24}).defined());
  CHECK_THROWS(try_view("view", t, {5, -1}), Error, "[view] shape (5, -1) does not fit the 24 elements of (4, 6)");
  CHECK_THROWS(try_view("view", t, {-1, -1}), Error, "only one length");
  CHECK_THROWS(try_view("view", empty({0, 3}, Dtype::Float32), {0, -1}), Error, "does not fit");
}

static void overlap_is_never_missed() {
  std::mt19937 random(2);
  int missed_none = 0;
  for (int round = 0; round < 20000; round++) {
    Tensor t = empty({64}, Dtype::UInt8);
    Dims shape, strides;
    for (int i = static_cast<int>(random() % 4); i > 0; i--) {
      shape.push_back(static_cast<int64_t>(random() % 4));
      strides.push_back(static_cast<int64_t>(random() % 13) - 6);
    }
    const Tensor a = as_strided(t, shape, strides, 32);
    const Tensor b = as_strided(t, {4}, {static_cast<int64_t>(random() % 3) + 1}, static_cast<int64_t>(random() % 52));
    const std::vector<int64_t> list = offsets(a), other = offsets(b);
    const std::set<int64_t> seen(list.begin(), list.end());
    bool common = false;
    for (int64_t at : other) common = common || seen.count(at) > 0;
    if (seen.size() < list.size()) CHECK(self_overlaps(a));
    if (common) CHECK(overlaps(a, b) && overlaps(b, a));
    else missed_none += !overlaps(a, b);
  }
  CHECK(missed_none > 100);  // it does tell some disjoint views apart
  const Tensor t = empty({3, 4}, Dtype::Float32);
  CHECK(same_view(t, t) && !same_view(t, transpose("transpose", empty({4, 3}, Dtype::Float32), 0, 1)));
  CHECK(!same_view(as_strided(t, {2, 2}, {1, 2}, 0), as_strided(t, {2, 2}, {2, 1}, 0)));
}

// ---- storage and memory

static void storages_are_counted_and_versioned() {
  int dropped = 0;
  static char block[64];
  {
    Tensor t;
    t.storage = StorageRef(new Storage(block, sizeof block, false, &dropped, [](void* n) { ++*static_cast<int*>(n); }));
    t.shape = {16};
    t.strides = {1};
    const Tensor view = slice("slice", t, 0, 2, 3, 2);
    CHECK_EQ(view.storage->references(), 2);
    CHECK(view.data() == reinterpret_cast<std::byte*>(block) + 8);
    t = Tensor{};
    CHECK_EQ(dropped, 0);
    CHECK_EQ(view.storage->references(), 1);
  }
  CHECK_EQ(dropped, 1);

  const Tensor t = empty({4}, Dtype::Float32);
  const auto packed = std::make_shared<const Derived>(128);
  t.storage->set_derived(7, t.storage->version(), packed);
  CHECK(t.storage->derived(7) == packed);
  CHECK(t.storage->derived(8) == nullptr);
  t.storage->written();
  CHECK(t.storage->derived(7) == nullptr);
}

static void blocks_are_aligned_and_reused() {
  empty_cache();
  const size_t before = memory_stats().in_use;
  std::vector<std::pair<void*, size_t>> blocks;
  for (size_t bytes :
       {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{1000}, size_t{1} << 20, size_t{200} << 20}) {
    void* block = allocate(bytes);
    CHECK_EQ(reinterpret_cast<uintptr_t>(block) % kAlignment, 0u);
    std::memset(block, 0xff, bytes);
    blocks.emplace_back(block, bytes);
  }
  CHECK(memory_stats().in_use - before >= (size_t{201} << 20));
  for (auto [block, bytes] : blocks) release(block, bytes);
  CHECK_EQ(memory_stats().in_use, before);
  CHECK(memory_stats().cached >= (size_t{1} << 20));
  CHECK(memory_stats().cached < (size_t{200} << 20));  // the largest went back to the system
  void* again = allocate(1000);
  CHECK(again == blocks[5].first);
  release(again, 1000);
  empty_cache();
  CHECK_EQ(memory_stats().cached, 0u);
  // Asking for one size and being given a block of its class never gives too little.
  for (size_t bytes = 1; bytes < 20000; bytes += 7) {
    void* block = allocate(bytes);
    std::memset(block, 0, bytes);
    release(block, bytes);
  }
}

static void scalars_take_their_dtype() {
  CHECK_BITS(*scalar(0.1, Dtype::Float32).data<float>(), 0.1f);
  CHECK_BITS(*scalar(0.1, Dtype::Float64).data<double>(), 0.1);
  CHECK_EQ(*scalar(int64_t{-1}, Dtype::UInt8).data<uint8_t>(), 255);
  CHECK_EQ(*scalar(int64_t{3}, Dtype::Bool).data<uint8_t>(), 1);
  CHECK_EQ(*scalar(1.0, Dtype::Float16).data<uint16_t>(), 0x3c00);
  CHECK_EQ(*scalar(int64_t{1} << 40, Dtype::Int64).data<int64_t>(), int64_t{1} << 40);
}

int main(int argc, char** argv) {
  return tg::test::run(
      argc, argv,
      {CASE(float16_widens_and_narrows), CASE(bfloat16_widens_and_narrows), CASE(promotion_is_a_lattice),
       CASE(counts_do_not_overflow), CASE(broadcasting), CASE(axes_count_from_both_ends),
       CASE(views_address_the_right_elements), CASE(reshaped_views_keep_the_order_of_elements),
       CASE(overlap_is_never_missed), CASE(storages_are_counted_and_versioned), CASE(blocks_are_aligned_and_reused),
       CASE(scalars_take_their_dtype)});
}

// Where kernels run as host code (launch.h): streams, and the orders in which loops go over threads.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <cstdlib>
#include <functional>
#include <numeric>
#include <vector>

namespace tg::cuda {

// Works at once, or keeps the work to be done later, any number of times.
struct Stream {
  std::vector<std::function<void()>>* kept = nullptr;
  template <class Work>
  void start(const Work& work) const {
    if (kept) kept->emplace_back(work);
    else work();
  }
};

inline size_t most_shared() { return 227 * 1024; }
inline constexpr int kCrewsAtOnce = 7;

inline uint64_t order_seed() {
  static const char* const said = std::getenv("TRIGRAD_EMULATED_ORDER");
  static const uint64_t seed = said ? std::strtoull(said, nullptr, 10) : 0;
  return seed;
}
inline uint64_t scrambled(uint64_t x) {
  x = (x ^ x >> 32) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
  return x ^ x >> 32;
}

// f(i) for i < n: from the last to the first, or as TRIGRAD_EMULATED_ORDER says: 1 is from the first to the last, more a seed of orders
// that differ from call to call. Nothing may lean on an order.
template <class F>
void in_some_order(int64_t n, F f) {
  thread_local uint64_t calls = 0;
  int64_t at = n - 1, step = n - 1;
  if (const uint64_t seed = order_seed(); seed && n > 1) {
    at = 0, step = 1;
    if (seed > 1) {
      const uint64_t drawn = scrambled(seed + (++calls << 16));
      at = int64_t(drawn % uint64_t(n));
      step = int64_t(drawn / uint64_t(n) % uint64_t(n - 1)) + 1;
      while (std::gcd(step, n) != 1) step--;  // so all are met
    }
  }
  for (int64_t k = 0; k < n; k++) {
    f(at);
    at += step;
    if (at >= n) at -= n;
  }
}
// The same of int.
template <int threads, class F>
void in_some_order(F f) {
  in_some_order(threads, [&](int64_t t) { f(int(t)); });
}

}  // namespace tg::cuda

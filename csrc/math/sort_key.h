// Elements as unsigned keys in the order of the values: NaN is the greatest, -0 equals +0. Freestanding.
#pragma once
#include "lane.h"

namespace tg {

template <int bytes>
struct sort_key_of {
  using type = uint32_t;
};
template <>
struct sort_key_of<8> {
  using type = uint64_t;
};
template <class T>
using KeyOf = typename sort_key_of<sizeof(T)>::type;

// The key of x; `flip` is 0, or all ones for the reversed order.
template <class T>
TG_FN KeyOf<T> key_of(T x, KeyOf<T> flip) {
  using Key = KeyOf<T>;
  constexpr Key sign = Key{1} << (8 * sizeof(Key) - 1);
  if constexpr (lane<T>::floating) {
    const Key b = static_cast<Key>(bits(x + T(0)));  // -0 + 0 is +0
    const Key ordered = b ^ ((b & sign) ? ~Key{0} : sign);
    return (x != x ? ~Key{0} : ordered) ^ flip;
  } else if constexpr (T(-1) < T(0)) {
    return (static_cast<Key>(x) ^ sign) ^ flip;
  } else {
    return static_cast<Key>(x) ^ flip;
  }
}

}  // namespace tg

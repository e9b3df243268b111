// Softmax and log-softmax along any dimension, and their gradients.
#include "cuda/rows.h"
#include "math/softmax.h"

namespace tg::cuda {
namespace {

template <class T>
struct Softmax {
  static constexpr int room = sizeof(T);
  Lines<2> l;
  bool log;
  const T* x;
  T* y;
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t o) const {
    int64_t at[2];
    l.kept.offsets(o, at);
    softmax_row(TeamRow<Team, T>{team, l.n}, Strided<const T>{x + at[0], l.step[0]}, Strided<T>{y + at[1], l.step[1]},
                log);
  }
};
template <class T>
struct SoftmaxBackward {
  static constexpr int room = sizeof(T);
  Lines<3> l;
  bool log;
  const T *g, *y;
  T* dx;
  template <class Team>
  TG_BODY void operator()(const Team& team, int64_t o) const {
    int64_t at[3];
    l.kept.offsets(o, at);
    softmax_backward_row(TeamRow<Team, T>{team, l.n}, Strided<const T>{g + at[0], l.step[0]},
                         Strided<const T>{y + at[1], l.step[1]}, Strided<T>{dx + at[2], l.step[2]}, log);
  }
};

void forward(const Call& c, bool log, Stream stream) {
  const Lines<2> l = lines_along<2>({&c.in[0], &c.out[0]}, c.attribute[0].i);
  if (l.n == 0) return;
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    lines(stream, l.kept.n, l.n, l.across,
          Softmax<T>{l, log, static_cast<const T*>(c.in[0].data), static_cast<T*>(c.out[0].data)});
  });
}
void backward(const Call& c, bool log, Stream stream) {
  const Lines<3> l = lines_along<3>({&c.in[0], &c.in[1], &c.out[0]}, c.attribute[0].i);
  if (l.n == 0) return;
  with_floating(dtype_of(c.out[0]), [&](auto t) {
    using T = decltype(t);
    lines(stream, l.kept.n, l.n, l.across,
          SoftmaxBackward<T>{l, log, static_cast<const T*>(c.in[0].data), static_cast<const T*>(c.in[1].data),
                             static_cast<T*>(c.out[0].data)});
  });
}

}  // namespace

void softmax(const Call& c, Stream stream) { forward(c, false, stream); }
void log_softmax(const Call& c, Stream stream) { forward(c, true, stream); }
void softmax_backward(const Call& c, Stream stream) { backward(c, false, stream); }
void log_softmax_backward(const Call& c, Stream stream) { backward(c, true, stream); }

}  // namespace tg::cuda

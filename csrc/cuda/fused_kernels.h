// The kernels of nets, of a type and a way to make products.
#pragma once
#include "cuda/fused.h"

namespace tg::cuda {

// A crew with room for more registers than it would be given: so that two share a multiprocessor.
#if defined(TG_THREADS)
template <class Body>
__global__ void __launch_bounds__(Body::threads, 2) run_net(const __grid_constant__ Body body) {
  TG_SHARED_BYTES(shared_by_net);
  for (int64_t round = 0; round < body.rounds(blockIdx.x); round++)
    for (int step = 0; step < body.steps(); step++) {
      body.work(blockIdx.x, round, step, int(threadIdx.x), reinterpret_cast<float*>(shared_by_net));
      __syncthreads();
    }
}
template <class Body>
int nets_at_once(size_t bytes) {
  return blocks_at_once(run_net<Body>, Body::threads, bytes);
}
template <class Body>
void nets(Stream stream, int64_t blocks, size_t bytes, const Body& body) {
  raise_shared(run_net<Body>);
  launch(run_net<Body>, blocks, Body::threads, bytes, stream, body);
}
#else
template <class Body>
int nets_at_once(size_t bytes) {
  return crews_at_once<Body>(bytes);
}
template <class Body>
void nets(Stream stream, int64_t blocks, size_t bytes, const Body& body) {
  crews(stream, int(blocks), bytes, body);
}
#endif

template <class T, bool fast>
struct NetKernelsOf {
  template <class F>
  static int with_body(bool training, int rows, F f) {
    if (training) return rows == 64 ? f(FusedNet<T, true, 64, fast>{}) : f(FusedNet<T, true, 32, fast>{});
    return rows == 128 ? f(FusedNet<T, false, 128, fast>{}) : f(FusedNet<T, false, 32, fast>{});
  }
  static int at_once(bool training, int rows, size_t bytes) {
    return with_body(training, rows, [&](auto body) { return nets_at_once<decltype(body)>(bytes); });
  }
  static void start(const Net& net, bool training, int rows, int64_t blocks, Stream stream) {
    with_body(training, rows, [&](auto body) {
      body.net = net;
      body.blocks = blocks;
      nets(stream, blocks, size_t(net.floats) * sizeof(float), body);
      return 0;
    });
  }
};
template <class T, bool fast>
NetKernels net_kernels() {
  return {NetKernelsOf<T, fast>::at_once, NetKernelsOf<T, fast>::start};
}

}  // namespace tg::cuda

// The entry of the CUDA module: its list of kernels, and what the extension may ask of it (cuda/abi.h).
#include <cstring>
#include <exception>

#include "cuda/abi.h"
#include "cuda/device.h"
#include "cuda/kernels.h"
#include "cuda/predictors.h"

namespace tg::cuda {
namespace {

struct Table {
  Kernel kernels[kAllOps] = {};
};
constexpr Table make_table() {
  Table t;
  for (int i = 0; i < kPointwiseOps; i++) t.kernels[i] = pointwise;
  t.kernels[op_where] = where;
  t.kernels[op_cast] = cast;
  t.kernels[op_copy_] = copy_;
  t.kernels[op_fill_] = fill_;
  t.kernels[op_sum] = sum;
  t.kernels[op_mean] = mean;
  t.kernels[op_nansum] = nansum;
  t.kernels[op_prod] = prod;
  t.kernels[op_amax] = amax;
  t.kernels[op_amin] = amin;
  t.kernels[op_argmax] = argmax;
  t.kernels[op_argmin] = argmin;
  t.kernels[op_any] = any;
  t.kernels[op_all] = all;
  t.kernels[op_var] = var;
  t.kernels[op_logsumexp] = logsumexp;
  t.kernels[op_norm] = norm;
  t.kernels[op_dot] = dot;
  t.kernels[op_softmax] = softmax;
  t.kernels[op_log_softmax] = log_softmax;
  t.kernels[op_softmax_backward] = softmax_backward;
  t.kernels[op_log_softmax_backward] = log_softmax_backward;
  t.kernels[op_cross_entropy] = cross_entropy;
  t.kernels[op_cross_entropy_backward] = cross_entropy_backward;
  t.kernels[op_class_total] = class_total;
  t.kernels[op_bce_with_logits] = bce_with_logits;
  t.kernels[op_bce_with_logits_backward] = bce_with_logits_backward;
  t.kernels[op_dense] = dense;
  t.kernels[op_dense_grad_input] = dense_grad_input;
  t.kernels[op_dense_grad_weight] = dense_grad_weight;
  t.kernels[op_dense_grad_bias] = dense_grad_bias;
  t.kernels[op_matmul] = matmul;
  t.kernels[op_dropout] = dropout;
  t.kernels[op_dropout_mask] = dropout_mask;
  t.kernels[op_uniform] = uniform;
  t.kernels[op_index] = index;
  t.kernels[op_index_put] = index_put;
  t.kernels[op_gather] = gather;
  t.kernels[op_scatter] = scatter;
  t.kernels[op_scatter_add] = scatter_add;
  t.kernels[op_masked_fill] = masked_fill;
  t.kernels[op_nonzero] = nonzero;
  t.kernels[op_count_nonzero] = count_nonzero;
  t.kernels[op_searchsorted] = searchsorted;
  t.kernels[op_cat] = cat;
  t.kernels[op_pad] = pad;
  t.kernels[op_tril] = tril;
  t.kernels[op_triu] = triu;
  t.kernels[op_cumsum] = cumsum;
  t.kernels[op_cumprod] = cumprod;
  t.kernels[op_sort] = sort;
  t.kernels[op_topk] = topk;
  t.kernels[op_kthvalue] = kthvalue;
  t.kernels[op_normal] = normal;
  t.kernels[op_bernoulli] = bernoulli;
  t.kernels[op_integers] = integers;
  t.kernels[op_permutation] = permutation;
  t.kernels[op_arange] = arange;
  for (int i = op_sgd; i <= op_rprop; i++) t.kernels[i] = update;
  t.kernels[op_batch_norm] = batch_norm;
  t.kernels[op_batch_norm_backward] = batch_norm_backward;
  t.kernels[op_layer_norm] = layer_norm;
  t.kernels[op_layer_norm_backward] = layer_norm_backward;
  t.kernels[op_channel_squares] = channel_squares;
  t.kernels[op_channel_dot] = channel_dot;
  t.kernels[op_channel_factors] = channel_factors;
  t.kernels[op_channel_gradients] = channel_gradients;
  t.kernels[op_channel_affine] = channel_affine;
  t.kernels[op_channel_backward] = channel_backward;
  t.kernels[op_batches] = batches;
  return t;
}
constexpr Table table = make_table();

// Exceptions stay on this side: the extension may have been built by another compiler.
template <class F>
bool done(Failure* failure, F f) {
  ErrorKind kind = ErrorKind::Runtime;
  std::string text;
  try {
    f();
    return true;
  } catch (const Refusal& r) {
    kind = r.kind;
    text = r.text;
  } catch (const Refused& r) {
    failure->kind = kRefused;
    failure->check = r.check;
    failure->note = r.note;
    return false;
  } catch (const std::exception& e) {
    text = e.what();
  }
  failure->kind = 1 + static_cast<int32_t>(kind);
  std::strncpy(failure->text, text.c_str(), sizeof failure->text - 1);
  return false;
}

constexpr Module module = {
    kAbi,
    kAllOps,
    TRIGRAD_VERSION,
    [](Versions* v) { *v = device::versions(); },
    [](Failure* failure) -> int32_t {
      int n = 0;
      return done(failure, [&] { n = device::count(); }) ? n : -1;
    },
    [](int32_t index, Properties* p, Failure* failure) {
      return done(failure, [&] { *p = device::properties(index); });
    },
    [](int32_t index, uint64_t* free, uint64_t* total, Failure* failure) {
      return done(failure, [&] { device::memory(index, free, total); });
    },
    [](int32_t index, size_t bytes, Failure* failure) -> void* {
      void* block = nullptr;
      done(failure, [&] { block = device::take(index, bytes); });
      return block;
    },
    [](int32_t index, void* block) {
      Failure ignored;  // a kernel that does not end stops nobody from trying
      done(&ignored, [&] { predictors::rest(index); });
      device::give(index, block);
    },
    device::pin,
    [](void* block) {
      Failure ignored;  // as above
      done(&ignored, [] { predictors::rest(kHost); });
      device::unpin(block);
    },
    [](const Copy* c, Failure* failure) { return done(failure, [&] { device::copy(*c); }); },
    [](const void* address, int32_t* index, Failure* failure) {
      return done(failure, [&] { *index = device::device_of(address); });
    },
    [](int32_t index, Failure* failure) {
      return done(failure, [&] {
        predictors::rest(index);
        device::synchronize(index);
      });
    },
    [](int32_t index, int32_t priority, void** made, Failure* failure) {
      return done(failure, [&] { *made = device::new_stream(index, priority); });
    },
    [](int32_t index, void* stream, bool wait, bool* over, Failure* failure) {
      return done(failure, [&] { *over = device::stream_done(index, stream, wait); });
    },
    [](int32_t index, bool timed, void** made, Failure* failure) {
      return done(failure, [&] { *made = device::new_event(index, timed); });
    },
    device::drop_event,
    [](int32_t index, void* event, void* stream, Failure* failure) {
      return done(failure, [&] { device::record(index, event, stream); });
    },
    [](int32_t index, void* stream, void* event, Failure* failure) {
      return done(failure, [&] { device::follow(index, stream, event); });
    },
    [](int32_t index, void* event, bool wait, bool* over, Failure* failure) {
      return done(failure, [&] { *over = device::event_done(index, event, wait); });
    },
    [](int32_t index, void* begin, void* end, float* milliseconds, Failure* failure) {
      return done(failure, [&] { *milliseconds = device::elapsed(index, begin, end); });
    },
    [](int32_t op) { return op >= 0 && op < kAllOps && table.kernels[op] != nullptr; },
    [](const Call* c, Failure* failure) {
      return done(failure, [&] {
        const device::Use use(c->index, c->stream);
        table.kernels[c->op](*c, use.stream());
        use.started();
      });
    },
    [](int32_t training, const Call* calls, int32_t n) {
      Failure failure;
      bool fits = false;
      done(&failure, [&] {
        const device::Use use(calls->index);
        fits = net_fits(training, calls, n);
      });
      return fits;
    },
    [](int32_t training, const Call* calls, int32_t n, Failure* failure) {
      return done(failure, [&] {
        const device::Use use(calls->index, calls->stream);
        run_net(training, calls, n, use.stream());
        use.started();
      });
    },
    [](int32_t input, const Call* calls, Failure* failure) {
      return done(failure, [&] {
        const device::Use use(calls->index, calls->stream);
        (input ? input_gradient : parameter_gradients)(calls, use.stream());
        use.started();
      });
    },
    [](int32_t index, void* to, const void* from, size_t bytes, void* stream, Failure* failure) {
      return done(failure, [&] {
        const device::Use use(index, stream);
        put(to, from, bytes, use.stream());
        use.started();
      });
    },
    [](int32_t index, Failure* failure) { return done(failure, [&] { device::begin_capture(index); }); },
    [](int32_t index, Failure* failure) -> void* {
      void* graph = nullptr;
      done(failure, [&] { graph = device::end_capture(index); });
      return graph;
    },
    [](int32_t index, void* graph, void* stream, Failure* failure) {
      return done(failure, [&] { device::launch(index, graph, stream); });
    },
    device::drop,
    {
        [](int32_t index, const EventNet* net, PredictorMode mode, double idle_seconds, Failure* failure) {
          void* made = nullptr;
          done(failure, [&] { made = predictors::open(index, *net, mode, idle_seconds); });
          return made;
        },
        [](void* p, const float* x, float* y, double seconds, Failure* failure) -> int32_t {
          bool answered = false;
          return done(failure, [&] { answered = predictors::run(p, x, y, seconds); }) ? answered : -1;
        },
        predictors::give_up,
        [](void* p, Failure* failure) { return done(failure, [&] { predictors::close(p); }); },
    },
};

}  // namespace
}  // namespace tg::cuda

extern "C" __attribute__((visibility("default"))) const tg::cuda::Module* trigrad_cuda_module() {
  return &tg::cuda::module;
}

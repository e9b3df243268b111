// The face of the library trigrad_realtime (include/trigrad/predictor_c.h).
#include <exception>
#include <memory>
#include <string>

#include "core/error.h"
#include "cpu/pool.h"
#include "realtime/plan_file.h"

#define TRIGRAD_BUILDING
#include "trigrad/predictor_c.h"

struct trigrad_predictor {
  trigrad_predictor(const tg::realtime::Program& program, const tg::realtime::Options& options)
      : predictor(program, *tg::realtime::kernel_table(nullptr), options) {}
  const tg::realtime::Predictor predictor;
};

namespace {

using namespace tg::realtime;

thread_local std::string last_error;

constexpr const char* kWho = "trigrad";

trigrad_predictor* make(std::span<const std::byte> bytes, uint32_t options) {
  const Plan plan = from_bytes(bytes, kWho);
  Options o;
  o.tiles = (options & TRIGRAD_ROWS) != 0;
  o.flush_denormals = (options & TRIGRAD_FLUSH_DENORMALS) != 0;
  o.lock_memory = (options & TRIGRAD_LOCK_MEMORY) != 0;
  auto made = std::make_unique<trigrad_predictor>(plan.program, o);
  if (!o.flush_denormals) check_self_test(made->predictor, plan.test, kWho);
  return made.release();
}

template <class Body>
trigrad_predictor* guarded(Body body) noexcept {
  try {
    return body();
  } catch (const std::exception& e) {
    try {
      last_error = e.what();
    } catch (...) {
      last_error.clear();
    }
    return nullptr;
  }
}

}  // namespace

extern "C" {

int32_t trigrad_abi_version(void) noexcept { return TRIGRAD_ABI_VERSION; }
const char* trigrad_last_error(void) noexcept { return last_error.c_str(); }

trigrad_predictor* trigrad_predictor_load(const char* path, uint32_t options) noexcept {
  return guarded([&] { return make(read_file(path, kWho), options); });
}
trigrad_predictor* trigrad_predictor_from_bytes(const void* bytes, size_t count, uint32_t options) noexcept {
  return guarded([&] { return make({static_cast<const std::byte*>(bytes), count}, options); });
}
void trigrad_predictor_free(trigrad_predictor* p) noexcept { delete p; }

int32_t trigrad_predictor_inputs(const trigrad_predictor* p) noexcept { return p->predictor.inputs(); }
int32_t trigrad_predictor_outputs(const trigrad_predictor* p) noexcept { return p->predictor.outputs(); }
const char* trigrad_predictor_isa(const trigrad_predictor* p) noexcept { return p->predictor.isa(); }

int32_t trigrad_predictor_run(const trigrad_predictor* p, const float* x, float* y) noexcept {
  return p->predictor.run(x, y);
}
int64_t trigrad_predictor_run_rows(const trigrad_predictor* p, const float* x, int64_t rows, float* y) noexcept {
  return rows < 1 ? 0 : p->predictor.run_rows(x, rows, y);
}
int32_t trigrad_set_num_threads(int32_t threads) noexcept {
  try {
    tg::set_num_threads(threads);
    return 1;
  } catch (const std::exception&) {
    return 0;
  }
}

trigrad_cut trigrad_predictor_cut(const trigrad_predictor* p, float threshold) noexcept {
  const Cut c = p->predictor.cut(threshold);
  return {c.threshold, c.above, c.below};
}
int32_t trigrad_predictor_passes(const trigrad_predictor* p, const float* x, trigrad_cut cut, int32_t output) noexcept {
  if (output < 0 || output >= p->predictor.outputs()) [[unlikely]]
    return 0;
  return p->predictor.passes(x, {cut.threshold, cut.above, cut.below}, output);
}

}  // extern "C"

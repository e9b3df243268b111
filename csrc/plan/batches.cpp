#include "plan/batches.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "plan/replay.h"

namespace tg::plan {
namespace {

// `Bytes`: of a row; 0: as many as are given.
template <size_t Bytes>
void copy_rows(const std::byte* from, const int64_t* order, int64_t n, std::byte* to, size_t bytes) {
  if constexpr (Bytes != 0) bytes = Bytes;
  constexpr int64_t ahead = 16;  // rows lie anywhere: they are asked for before they are needed
  for (int64_t i = 0; i < n; i++, to += bytes) {
    const std::byte* next = from + static_cast<size_t>(order[std::min(i + ahead, n - 1)]) * bytes;
    __builtin_prefetch(next);
    __builtin_prefetch(next + bytes - 1);
    std::memcpy(to, from + static_cast<size_t>(order[i]) * bytes, bytes);
  }
}

}  // namespace

void Batches::gather(int64_t first) const {
  const int64_t rows = batch[0].shape[0];
  if (const Backend* device = dispatch::backend(batch[0].device()); device->kernels[op_batches]) {
    Attrs attrs;
    attrs.add(Attr::integer(first));
    for (size_t t = 0; t < tables.size(); t++) {
      const Tensor in[] = {batch[t], tables[t], order};
      Tensor out = batch[t];
      device->kernels[op_batches]({op(op_batches), in, attrs, {&out, 1}});
    }
    return;
  }
  const int64_t* places = order.defined() ? order.data<const int64_t>() + first : nullptr;
  for (int64_t i = 0; places && i < rows; i++) {
    const int64_t row = places[i];
    if (row < 0 || row >= tables[0].shape[0])
      fail(ErrorKind::Index, "[batches] got row ", row, " in the order, expected 0 to ", tables[0].shape[0] - 1);
  }
  for (size_t t = 0; t < tables.size(); t++) {
    const size_t bytes = static_cast<size_t>(batch[t].numel() / rows * size_of(batch[t].dtype));
    const std::byte* from = tables[t].data();
    std::byte* to = batch[t].data();
    if (!places) {
      std::memcpy(to, from + static_cast<size_t>(first) * bytes, static_cast<size_t>(rows) * bytes);
      continue;
    }
    if (bytes == 4) copy_rows<4>(from, places, rows, to, bytes);
    else if (bytes == 8) copy_rows<8>(from, places, rows, to, bytes);
    else copy_rows<0>(from, places, rows, to, bytes);
  }
}

void Draw::go_on(Executor& executor, int64_t steps) const {
  Attrs attrs = executor.attrs(instruction);
  attrs.values[attribute].i += advance * steps;
  executor.set_attrs(instruction, attrs);
}

size_t run_batches(Executor& executor, const Batches& batches, int64_t first, const View& loss,
                   std::span<const Draw> draws, std::span<double> losses, std::chrono::nanoseconds time) {
  if (executor.replay()) return executor.replay()->run_batches(batches, first, loss, draws, losses, time);
  return run_one_by_one(executor, batches, first, loss, draws, losses, time);
}

size_t run_one_by_one(Executor& executor, const Batches& batches, int64_t first, const View& loss,
                      std::span<const Draw> draws, std::span<double> losses, std::chrono::nanoseconds time) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + time;
  const Tensor value = executor.tensor(loss);
  const int64_t rows = batches.batch[0].shape[0];
  for (size_t done = 0; done < losses.size(); done++) {
    if (done && Clock::now() >= end) return done;
    try {
      batches.gather(first + static_cast<int64_t>(done) * rows);
      executor.run();
    } catch (...) {
      if (!done) throw;
      return done;
    }
    losses[done] = number(value);
    for (const Draw& d : draws) d.go_on(executor, 1);
  }
  return losses.size();
}

}  // namespace tg::plan

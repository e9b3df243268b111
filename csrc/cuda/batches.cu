// Batches of a data set that lies on the device.
#include "cuda/kernels.h"
#include "cuda/refuse.h"

namespace tg::cuda {
namespace {

// A place of the order names no row of the table.
struct NoRow {
  const int64_t* order;
  Live first;
  int64_t rows;
  TG_BODY bool operator()(int64_t i) const {
    const int64_t row = order[first.integer() + i];
    return row < 0 || row >= rows;
  }
};

// A word of each thread, side by side in the batch.
template <class Word>
struct TakeRows {
  const Word* table;  // (rows, words)
  int64_t rows, words;
  const int64_t* order;
  Live first;
  Word* batch;
  TG_BODY void operator()(int64_t i) const {
    const int64_t k = i <= INT32_MAX ? int64_t(uint32_t(i) / uint32_t(words)) : i / words, at = first.integer() + k;
    const int64_t row = order ? order[at] : at;
    if (row >= 0 && row < rows) batch[i] = table[row * words + (i - k * words)];
  }
};

}  // namespace

void batches(const Call& c, Stream stream) {
  const Operand &batch = c.out[0], &table = c.in[1];
  const int64_t rows = batch.shape[0], bytes = numel(batch) / (rows ? rows : 1) * size_of(dtype_of(batch));
  const auto* order = c.in[2].kind == Operand::device ? static_cast<const int64_t*>(c.in[2].data) : nullptr;
  const Live first = live(c, 0);
  if (order)
    refuse_where(c, rows, NoRow{order, first, table.shape[0]}, stream, [&](int64_t i) {
      int64_t row;
      device::to_host(c, &row, order + first.own.i + i, sizeof row);
      return Refusal{ErrorKind::Index, "got row " + std::to_string(row) + " in the order, expected 0 to " +
                                           std::to_string(table.shape[0] - 1)};
    });
  auto taken = [&](auto like) {
    using Word = decltype(like);
    const int64_t words = bytes / int64_t(sizeof(Word));
    each(stream, rows * words,
         TakeRows<Word>{static_cast<const Word*>(table.data), table.shape[0], words, order, first,
                        static_cast<Word*>(batch.data)});
  };
  const auto together =
      reinterpret_cast<uintptr_t>(table.data) | reinterpret_cast<uintptr_t>(batch.data) | uintptr_t(bytes);
  if (together % 8 == 0) taken(uint64_t{});
  else if (together % 4 == 0) taken(uint32_t{});
  else if (together % 2 == 0) taken(uint16_t{});
  else taken(uint8_t{});
}

}  // namespace tg::cuda

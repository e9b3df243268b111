// How rows look at values and refuse some of them, before they write.
#pragma once
#include "cuda/device.h"
#include "cuda/kernels.h"

namespace tg::cuda {

// The first of the places that are noted, by any of the threads.
TG_BODY void note_first(uint64_t* note, uint64_t place) {
#if defined(__CUDA_ARCH__)
  atomicMin(reinterpret_cast<unsigned long long*>(note), place);
#else
  if (place < *note) *note = place;
#endif
}

template <class Bad>
struct NoteFirst {
  Bad bad;
  uint64_t* note;
  TG_BODY void operator()(int64_t i) const {
    if (bad(i)) note_first(note, uint64_t(i));
  }
};

// Throws the Refusal say(i), where i is the first of n places for which the body bad(i) is true. Of a captured call the plan
// asks later (Call::note): then the call goes on, whatever the values are.
template <class Bad, class Say>
void refuse_where(const Call& c, int64_t n, const Bad& bad, Stream stream, Say say) {
  uint64_t first = kNothing;
  uint64_t* note = c.captured ? c.note : scratch<uint64_t>(c, 1);
  if (!c.captured) put(note, &first, sizeof first, stream);
  each(stream, n, NoteFirst<Bad>{bad, note});
  if (c.captured) return;
  device::to_host(c.index, &first, note, sizeof first);
  if (first != kNothing) throw say(int64_t(first));
}

}  // namespace tg::cuda

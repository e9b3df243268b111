#include <cstring>

#include "cpu/machine.h"
#include "realtime/kernels.h"

namespace tg {

#define TG_REALTIME_TABLE(NS)                        \
  namespace NS {                                     \
  extern const realtime::KernelTable realtime_table; \
  }
TG_REALTIME_TABLE(isa_baseline)
#if defined(__x86_64__)
TG_REALTIME_TABLE(isa_avx2)
TG_REALTIME_TABLE(isa_avx512)
#endif

namespace realtime {
namespace {

const KernelTable* const kBuilt[] = {
    &isa_baseline::realtime_table,
#if defined(__x86_64__)
    &isa_avx2::realtime_table,
    &isa_avx512::realtime_table,
#endif
};

}  // namespace

const KernelTable* kernel_table(const char* isa) {
  if (!isa) return kBuilt[machine_level()];
  for (size_t level = 0; level <= machine_level(); level++)
    if (!std::strcmp(kBuilt[level]->isa, isa)) return kBuilt[level];
  return nullptr;
}

}  // namespace realtime
}  // namespace tg

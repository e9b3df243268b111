#include <cstring>

#include "cpu/machine.h"
#include "realtime/kernels.h"

namespace tg {

#define TG_REALTIME_TABLE(NS)                        \
  namespace NS {                                     \
  extern const realtime::KernelTable realtime_table; \
  extern const realtime::IntegerTable integer_table; \
  }
TG_REALTIME_TABLE(isa_baseline)
#if defined(__x86_64__)
TG_REALTIME_TABLE(isa_avx2)
TG_REALTIME_TABLE(isa_avx512)
namespace isa_avx512 {
extern const realtime::IntegerTable vnni_table;
}
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

const IntegerTable& integer_table([[maybe_unused]] const KernelTable& kernels, [[maybe_unused]] bool vnni) {
#if defined(__x86_64__)
  if (&kernels == &isa_avx512::realtime_table)
    return vnni && __builtin_cpu_supports("avx512vnni") ? isa_avx512::vnni_table : isa_avx512::integer_table;
  if (&kernels == &isa_avx2::realtime_table) return isa_avx2::integer_table;
#endif
  return isa_baseline::integer_table;
}

}  // namespace realtime
}  // namespace tg
